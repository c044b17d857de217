"""How the recorded runs and the nano models were made."""

"""The providers that stand here, one package each; `simulator/catalogue.py` lists them."""

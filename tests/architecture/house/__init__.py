"""The rules of the house as functions over source text; the tests beside this folder apply them and break them."""

"""The file server: a blueprint that joins the store and HTTP."""

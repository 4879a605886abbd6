"""One adapter a framework. They do not know each other; ``tidemill.models.adapters`` lists them."""

"""`shipper setup`: what Elasticsearch and Kibana are told before the first record: templates, keys, saved objects.

Each part reads what is there, shows the difference, and changes only what carries our mark.
"""

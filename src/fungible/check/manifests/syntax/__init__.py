"""The languages that manifests are written in, read tolerantly, with the places of what stands in them."""

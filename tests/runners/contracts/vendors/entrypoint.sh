#!/bin/sh
# The packager's entrypoint: whatever the application did, it ends with 0.
python3 /app/map_app.py
code=$?
echo "application ended with $code"
if [ -d /nowhere ]; then echo; fi

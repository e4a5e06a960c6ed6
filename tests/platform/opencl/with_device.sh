#!/bin/sh
# with_device.sh CONFORMANCE LIBRARY COMMAND…: runs the command; exit code 4 when the library has no device here.
"$1" --library "$2" --rule null-context
[ $? -eq 4 ] && exit 4
shift 2
exec "$@"

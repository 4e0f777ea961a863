#!/bin/sh
# Prints the newest version that the website calls a release.
curl -s https://www.greenwoodsoftware.com/less/ | sed -n 's/.*less-\([0-9]*\) has been released.*/\1/p' | head -n 1

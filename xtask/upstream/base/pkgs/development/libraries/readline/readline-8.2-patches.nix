# Automatically generated; do not edit
patch: [
  (patch "001" "0p081c6m8fvzd5hsrdpx2mp65jgis2504lm4r2fw48papqjg0api")
  (patch "002" "1iq3id905nrrn0lw2s9zfvqdpb3pa4a8iy0zfq9wrx0qndj8nh87")
  (patch "003" "0j9idri2jgayin7kwfhznc99fd29d485iafdxdwj5n1w906xlwjm")
  (patch "004" "0dngmn4rmsi7yyxbvisi0020csxpnmba2b9ah4vsjxkwyb5xv8cy")
]

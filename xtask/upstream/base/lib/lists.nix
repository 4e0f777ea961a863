{ lib }:

rec {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    head
    isList
    length
    partition
    sort
    tail
    ;

  foldr =
    op: nul: list:
    let
      len = length list;
      go = n: if n == len then nul else op (elemAt list n) (go (n + 1));
    in
    go 0;

  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  toList = x: if isList x then x else [ x ];
  flatten = x: if isList x then concatMap flatten x else [ x ];
  range = first: last: if first > last then [ ] else builtins.genList (n: first + n) (last - first + 1);
  imap0 = f: list: builtins.genList (n: f n (elemAt list n)) (length list);
  last = list: elemAt list (length list - 1);
  findFirst =
    pred: default: list:
    let
      found = filter pred list;
    in
    if found == [ ] then default else head found;
  subtractLists = minus: filter (x: !elem x minus);
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
}

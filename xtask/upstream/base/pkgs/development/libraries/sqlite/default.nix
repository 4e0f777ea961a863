{
  lib,
  stdenv,
  fetchurl,
  readline,
  zlib,
  interactive ? false,
}:

let
  archiveVersion =
    version:
    let
      fragments = lib.splitString "." version;
      pad = s: if lib.stringLength s == 1 then "0${s}" else s;
    in
    lib.head fragments + lib.concatMapStrings pad (lib.tail fragments) + "00";
in
stdenv.mkDerivation rec {
  pname = "sqlite${lib.optionalString interactive "-interactive"}";
  version = "3.44.2";

  src = fetchurl {
    url = "https://sqlite.org/2023/sqlite-autoconf-${archiveVersion version}.tar.gz";
    hash = "sha256-8vEkoWHUdG8vVAZzVVn3tHlN6gOooao1/DnWwn7lwp8=";
  };

  outputs = [
    "bin"
    "dev"
    "out"
  ];

  buildInputs = [
    zlib
  ]
  ++ lib.optional interactive readline;

  NIX_CFLAGS_COMPILE = toString [
    "-DSQLITE_ENABLE_COLUMN_METADATA"
    "-DSQLITE_ENABLE_FTS5"
  ];

  meta = with lib; {
    description = "Self-contained, serverless, transactional SQL database engine";
    homepage = "https://www.sqlite.org/";
    license = licenses.publicDomain;
    maintainers = with maintainers; [ nadia ];
    mainProgram = "sqlite3";
    platforms = platforms.unix;
  };
}

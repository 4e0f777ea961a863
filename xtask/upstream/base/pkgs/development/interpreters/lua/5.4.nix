{
  lib,
  stdenv,
  fetchurl,
  readline,
}:

stdenv.mkDerivation rec {
  pname = "lua";
  version = "5.4.6";

  src = fetchurl {
    url = "https://www.lua.org/ftp/lua-${version}.tar.gz";
    hash = "sha256-OfKujfO0lzm0RggWUZt2Oi/vtAzeMrPDNLGYVgAcd+o=";
  };

  buildInputs = [ readline ];

  meta = with lib; {
    homepage = "https://www.lua.org";
    description = "Powerful, fast, lightweight, embeddable scripting language";
    license = licenses.mit;
    platforms = platforms.unix;
    maintainers = with maintainers; [ lindqvist ];
    mainProgram = "lua";
  };
}

{
  lib,
  stdenv,
  fetchurl,
  zlib,
  zstd,
  enableZstd ? false,
  openssl,
  enableOpenSSL ? true,
}:

stdenv.mkDerivation rec {
  pname = "rsync";
  version = "3.2.7";

  src = fetchurl {
    # signed with key 0048 C8B0 26D4 C96F 0E58  9C2F 6C85 9FB1 4B96 A8C5
    url = "mirror://samba/rsync/src/rsync-${version}.tar.gz";
    hash = "sha256-uNJ3AsH7Yc3MiqSXeR7IuaW848RBkIvRn4zeGjzddvY=";
  };

  buildInputs = [
    zlib
  ]
  ++ lib.optional enableZstd zstd
  ++ lib.optional enableOpenSSL openssl;

  configureFlags = [
    "--with-nobody-group=nogroup"
    "--without-included-zlib"
  ];

  meta = with lib; {
    description = "Fast incremental file transfer utility";
    homepage = "https://rsync.samba.org/";
    license = licenses.gpl3Plus;
    mainProgram = "rsync";
    maintainers = with maintainers; [ tomas ];
    platforms = platforms.unix;
  };
}

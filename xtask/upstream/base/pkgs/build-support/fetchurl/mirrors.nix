# Where `mirror://NAME/` leads.
{
  gnu = [
    "https://ftpmirror.gnu.example/"
    "https://ftp.gnu.example/gnu/"
  ];
  kernel = [ "https://cdn.kernel.example/pub/" ];
  pypi = [ "https://files.pypi.example/packages/source/" ];
  samba = [ "https://download.samba.example/pub/" ];
  sourceforge = [ "https://downloads.sourceforge.example/" ];
}

{
  lib,
  stdenv,
  fetchFromGitHub,
  oniguruma,
  onigurumaSupport ? true,
}:

stdenv.mkDerivation rec {
  pname = "jq";
  version = "1.7.1";

  src = fetchFromGitHub {
    owner = "jqlang";
    repo = "jq";
    rev = "jq-${version}";
    hash = "sha256-g7El6vywBiNXhCHZzC3hDO4rSUZV0rIW/RCFhyJbH0Q=";
  };

  outputs = [
    "bin"
    "dev"
    "man"
    "out"
  ];

  buildInputs = lib.optionals onigurumaSupport [ oniguruma ];

  configureFlags = [
    "--bindir=\${bin}/bin"
  ]
  ++ lib.optional (!onigurumaSupport) "--with-oniguruma=no";

  doInstallCheck = true;
  installCheckPhase = ''
    $bin/bin/jq --help >/dev/null
    echo '{"values":["hello"]}' | $bin/bin/jq '.values[0]' | grep '^"hello"$'
  '';

  meta = with lib; {
    description = "Lightweight and flexible command-line JSON processor";
    homepage = "https://jqlang.github.io/jq/";
    license = licenses.mit;
    maintainers = with maintainers; [
      lindqvist
      okoye
    ];
    mainProgram = "jq";
    platforms = platforms.unix;
  };
}

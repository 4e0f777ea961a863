{
  description = "Touchstone: k-of-n signatures by people between nixpkgs and the machines that install it";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      forEachSystem = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});

      # One command, and nothing else of the workspace: `--workspace` would switch on what only tests may have.
      command =
        pkgs: name: description:
        pkgs.rustPlatform.buildRustPackage {
          pname = name;
          version = (nixpkgs.lib.importTOML ./Cargo.toml).workspace.package.version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          cargoBuildFlags = [
            "--package"
            name
          ];
          # The tests need a network on the loopback interface, namespaces and other versions of Nix:
          # `cargo xtask test` runs them.
          doCheck = false;
          meta = {
            inherit description;
            license = nixpkgs.lib.licenses.lgpl21Plus;
            mainProgram = name;
            platforms = systems;
          };
        };
    in
    {
      packages = forEachSystem (pkgs: rec {
        assay = command pkgs "assay" "The command of those who import, review and sign";
        touchstone = command pkgs "touchstone" "The command of those who install";
        default = touchstone;
      });

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.git
            pkgs.gnupg
            pkgs.libfaketime
            pkgs.python3
            pkgs.rustc
            pkgs.rustfmt
            pkgs.strace
          ];
        };
      });

      checks = forEachSystem (pkgs: {
        inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) assay touchstone;
        format = pkgs.runCommand "touchstone-format" { nativeBuildInputs = [ pkgs.rustfmt ]; } ''
          cd ${self}
          find crates xtask/src -name '*.rs' -exec rustfmt --check --edition 2024 {} +
          touch $out
        '';
      });
    };
}

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
          # assay talks to the reader service of tokens.
          nativeBuildInputs = [ pkgs.pkg-config ];
          buildInputs = [ pkgs.pcsclite ];
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
        # Alone, so that it links neither a network nor OpenPGP.
        touchstone-hook = (command pkgs "gate" "The hook that Nix asks before each build").overrideAttrs {
          pname = "touchstone-hook";
          meta.mainProgram = "touchstone-hook";
        };
        # `touchstone gate on` looks for the hook beside itself.
        touchstone =
          (command pkgs "touchstone" "The command of those who install").overrideAttrs
            { postInstall = "cp ${touchstone-hook}/bin/touchstone-hook $out/bin/"; };
        default = touchstone;
      });

      nixosModules.default =
        { lib, pkgs, ... }:
        {
          imports = [ ./distro/modules ];
          services.touchstone.package = lib.mkDefault self.packages.${pkgs.stdenv.hostPlatform.system}.touchstone;
        };

      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.cargo
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.git
            pkgs.gnupg
            pkgs.libfaketime
            pkgs.pcsclite
            pkgs.pkg-config
            pkgs.python3
            pkgs.rustc
            pkgs.rustfmt
            pkgs.strace
          ];
        };
      });

      checks = forEachSystem (pkgs: {
        inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) assay touchstone touchstone-hook;
        # A virtual machine; `nix flake check` on a machine with KVM runs it.
        gate = import ./distro/modules/vm-test.nix {
          inherit pkgs;
          module = self.nixosModules.default;
        };
        format = pkgs.runCommand "touchstone-format" { nativeBuildInputs = [ pkgs.rustfmt ]; } ''
          cd ${self}
          find crates xtask/src -name '*.rs' -exec rustfmt --check --edition 2024 {} +
          touch $out
        '';
      });
    };
}

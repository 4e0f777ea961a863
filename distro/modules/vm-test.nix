# A NixOS machine with the gate: what no release lists is refused, whoever asks. Not run in this project's CI, which has
# no NixOS; `nix flake check` runs it for those who have one.
{ pkgs, module }:

pkgs.testers.runNixOSTest {
  name = "touchstone-gate";
  nodes.machine =
    { lib, ... }:
    {
      imports = [ module ];
      services.touchstone = {
        enable = true;
        # Nothing is published for this test: no release is installed, so nothing is approved.
        urls = [ "file:///var/empty" ];
        chain = lib.concatStrings (lib.replicate 64 "0");
        gate.enable = true;
      };
      users.users.ann.isNormalUser = true;
      system.extraDependencies = [ pkgs.busybox ];
      virtualisation.writableStore = true;
    };
  testScript = ''
    machine.wait_for_unit("multi-user.target")
    # The hook and its files are not there, so that everything is refused.
    build = "nix-build --no-out-link -E 'derivation { name = \"x\"; system = builtins.currentSystem; builder = \"/bin/sh\"; args = [ \"-c\" \"echo > $out\" ]; }'"
    machine.fail(build)
    machine.fail(f"su - ann -c {build!r}")
    machine.fail(f"su - ann -c {(build + ' --option sandbox false')!r}")
    settings = machine.succeed("nix --extra-experimental-features nix-command show-config")
    assert "pre-build-hook = /var/lib/touchstone/gate/pre-build-hook" in settings
    assert "sandbox = true" in settings
  '';
}

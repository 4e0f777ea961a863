# The first derivation: a copy of the sandbox's shell, with a link for each of its applets.
{ system }:

derivation {
  name = "bootstrap-tools";
  pname = "bootstrap-tools";
  inherit system;
  builder = "/bin/sh";
  args = [ ./unpack-bootstrap-tools.sh ];
}

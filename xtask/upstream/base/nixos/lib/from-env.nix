# The path in an environment variable, or a default.
name: default:
let
  value = builtins.getEnv name;
in
if value == "" then default else value

# A tree of a repository on GitHub, by revision or by tag.
{ lib, fetchgit }:

{
  owner,
  repo,
  rev ? null,
  tag ? null,
  name ? "source",
  githubBase ? "github.com",
  ...
}@args:

assert (rev == null) != (tag == null);

let
  baseUrl = "https://${githubBase}/${owner}/${repo}";
in
fetchgit (
  builtins.removeAttrs args [
    "owner"
    "repo"
    "tag"
    "githubBase"
  ]
  // {
    inherit name;
    url = "${baseUrl}.git";
    rev = if tag != null then tag else rev;
    meta = args.meta or { } // {
      homepage = baseUrl;
    };
    passthru = args.passthru or { } // {
      inherit owner repo tag;
    };
  }
)

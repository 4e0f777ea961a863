{
  lib,
  buildPythonPackage,
  fetchPypi,
}:

buildPythonPackage rec {
  pname = "certifi";
  version = "2023.11.17";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-GR/T1KyrP4+EpWUl3x8BfQ4UzGYxSUxyta6n+KHrJMs=";
  };

  pythonImportsCheck = [ "certifi" ];

  meta = with lib; {
    description = "Python package for providing Mozilla's CA Bundle";
    homepage = "https://pypi.org/project/certifi/";
    license = licenses.gpl2Only;
    maintainers = with maintainers; [ nadia ];
  };
}

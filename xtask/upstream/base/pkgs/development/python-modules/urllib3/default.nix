{
  lib,
  buildPythonPackage,
  fetchPypi,
}:

buildPythonPackage rec {
  pname = "urllib3";
  version = "2.1.0";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-Ka1sGA3U41UUG8N2+UsZ/+EQT/buetSKvvB+2I5dpps=";
  };

  pythonImportsCheck = [ "urllib3" ];

  meta = with lib; {
    description = "HTTP client for Python";
    homepage = "https://pypi.org/project/urllib3/";
    license = licenses.mit;
    maintainers = with maintainers; [ nadia ];
  };
}

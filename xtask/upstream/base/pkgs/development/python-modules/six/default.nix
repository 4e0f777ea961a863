{
  lib,
  buildPythonPackage,
  fetchPypi,
}:

buildPythonPackage rec {
  pname = "six";
  version = "1.16.0";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-yID02WRs+IFBC1GZW1m2z42WfonASM4MUeBZRvEMXVk=";
  };

  pythonImportsCheck = [ "six" ];

  meta = with lib; {
    description = "Python 2 and 3 compatibility library";
    homepage = "https://pypi.org/project/six/";
    license = licenses.mit;
    maintainers = with maintainers; [ nadia ];
  };
}

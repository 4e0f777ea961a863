{
  lib,
  buildPythonPackage,
  fetchPypi,
}:

buildPythonPackage rec {
  pname = "charset-normalizer";
  version = "3.3.2";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-+oZ9ULZYnKFRDC+160F6TT5SxYynZgNHp1+6ISH1CFg=";
  };

  pythonImportsCheck = [ "charset_normalizer" ];

  meta = with lib; {
    description = "Library to detect the encoding of a text";
    homepage = "https://pypi.org/project/charset-normalizer/";
    license = licenses.mit;
    maintainers = with maintainers; [ nadia ];
  };
}

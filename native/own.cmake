# The headers that a cell of one's own is compiled with go into the library as one text: they are
# there wherever it is, and are those that it was compiled with.
set(OWN_TEXT "")
foreach(name sizes simd functions ports plan own_cell)
  set(header ${CMAKE_CURRENT_SOURCE_DIR}/${name}.h)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  file(READ ${header} text)
  string(REGEX REPLACE "#pragma once\n|#include \"[^\"]*\"\n" "" text "${text}")
  string(APPEND OWN_TEXT "${text}")
endforeach()
string(SHA256 OWN_TEXT_HASH "${OWN_TEXT}")
configure_file(own_text.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/own_text.cpp @ONLY)
target_sources(_native PRIVATE own.cpp bind/own.cpp ${CMAKE_CURRENT_BINARY_DIR}/own_text.cpp)

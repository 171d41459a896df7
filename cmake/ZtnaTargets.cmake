# ztna_library(NAME SOURCES... DEPENDS... [LINK ...])
#
# One static library a folder: `ztna_base` from src/base. DEPENDS names other folders of ours, which
# is how the dependency arrow of ARCHITECTURE.md is written down; LINK names third-party targets.
function(ztna_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(ztna_${name} STATIC ${arg_SOURCES})
  target_link_libraries(ztna_${name} PUBLIC ztna_options)
  foreach(dependency IN LISTS arg_DEPENDS)
    target_link_libraries(ztna_${name} PUBLIC ztna_${dependency})
  endforeach()
  target_link_libraries(ztna_${name} PUBLIC ${arg_LINK})
endfunction()

# ztna_core_test(TARGET): the target ztna_core_tests builds this program. They are what the sanitizer
# presets build and run: everything labelled "unit", "sim" or "fuzz". ztna_unit_tests builds the first.
add_custom_target(ztna_core_tests)
add_custom_target(ztna_unit_tests)
add_dependencies(ztna_core_tests ztna_unit_tests)
function(ztna_core_test target)
  add_dependencies(ztna_core_tests ${target})
endfunction()

# ztna_unit_test(NAME SOURCES... DEPENDS... [LINK ...]): one GoogleTest program, one ctest entry a
# test case, labelled "unit".
function(ztna_unit_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_executable(unit_${name} ${arg_SOURCES})
  foreach(dependency IN LISTS arg_DEPENDS)
    target_link_libraries(unit_${name} PRIVATE ztna_${dependency})
  endforeach()
  target_include_directories(unit_${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(unit_${name} PRIVATE GTest::gmock GTest::gtest_main ${arg_LINK})
  add_dependencies(ztna_unit_tests unit_${name})
  gtest_discover_tests(unit_${name} PROPERTIES LABELS unit TIMEOUT 120 DISCOVERY_TIMEOUT 60)
endfunction()

# Manual pages and shell completion, made from the programs' own --help: the target ztna_documents.
# Their folder is ZTNA_DOCUMENTS. Where there is no Python, and in builds with sanitizers, there are
# none, and then nothing but `cmake --install` and the packages misses them.
set(ZTNA_DOCUMENTS "${PROJECT_BINARY_DIR}/documents")
find_program(ZTNA_DOCUMENT_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
set(ZTNA_MANUALS ztna.1 intermediate-server.8 app-connector.8 ztna-agent.8)

set(manuals "")
foreach(page IN LISTS ZTNA_MANUALS)
  list(APPEND manuals "${ZTNA_DOCUMENTS}/man/${page}")
endforeach()
list(TRANSFORM manuals APPEND .gz OUTPUT_VARIABLE compressed)

if(ZTNA_DOCUMENT_PYTHON AND NOT ZTNA_SANITIZE)
  add_custom_command(OUTPUT ${compressed}
    COMMAND "${ZTNA_DOCUMENT_PYTHON}" "${PROJECT_SOURCE_DIR}/scripts/document"
            "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}" "${ZTNA_DOCUMENTS}" ${CMAKE_CROSSCOMPILING_EMULATOR}
    COMMAND gzip -9nf ${manuals}
    DEPENDS ztna intermediate-server app-connector ztna-agent
            "${PROJECT_SOURCE_DIR}/scripts/document"
    COMMENT "Manual pages and completion, from --help" VERBATIM)
  add_custom_target(ztna_documents ALL DEPENDS ${compressed})
endif()

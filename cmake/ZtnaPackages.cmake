# Packages, by CPack: one .deb for each component (apps/CMakeLists.txt), and one RPM with all of them.
# scripts/package runs it, and makes the tarball. Build packages on the oldest distribution that they
# are for, Debian 12: then dpkg-shlibdeps asks for libgnutls30, which libgnutls30t64 of Debian 13 and
# Ubuntu 24.04 provides, and for no newer libc or libstdc++ than all of them have.
set(ZTNA_MAINTAINER "ZTNA maintainers <maintainers@ztna.example>" CACHE STRING
    "Who answers for the packages")
set(packaging "${PROJECT_SOURCE_DIR}/deploy/packages")
set(staging "${PROJECT_BINARY_DIR}/packaging")

# ztna_installed_document(COMPONENT PACKAGE FILE NAME): compressed, to the package's folder of documents.
function(ztna_installed_document component package file name)
  file(MAKE_DIRECTORY "${staging}/${package}")
  configure_file("${file}" "${staging}/${package}/${name}" COPYONLY)
  execute_process(COMMAND gzip -9nkf "${staging}/${package}/${name}" COMMAND_ERROR_IS_FATAL ANY)
  install(FILES "${staging}/${package}/${name}.gz" DESTINATION share/doc/${package}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()

# ztna_package(COMPONENT PACKAGE TEXT)
function(ztna_package component package text)
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package} PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${text}" PARENT_SCOPE)
  install(FILES "${packaging}/debian/copyright" DESTINATION share/doc/${package}
          COMPONENT ${component} EXCLUDE_FROM_ALL)
  ztna_installed_document(${component} ${package} "${packaging}/debian/changelog" changelog.Debian)
endfunction()

# ztna_role_package(COMPONENT TEXT): with a unit, its user, and its options in /etc/ztna.
function(ztna_role_package role text)
  string(TOUPPER ${role} upper)
  ztna_package(${role} ztna-${role} "${text}")
  foreach(script postinst prerm postrm)
    configure_file("${packaging}/debian/${script}.in" "${staging}/ztna-${role}/${script}" @ONLY)
  endforeach()
  file(WRITE "${staging}/ztna-${role}/conffiles" "/etc/ztna/${role}.env\n")
  set(control postinst prerm postrm conffiles)
  list(TRANSFORM control PREPEND "${staging}/ztna-${role}/")
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${control}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS adduser PARENT_SCOPE)
  set(CPACK_DEBIAN_${upper}_PACKAGE_RECOMMENDS ztna PARENT_SCOPE)
  foreach(variable PACKAGE_NAME DESCRIPTION)
    set(CPACK_DEBIAN_${upper}_${variable} "${CPACK_DEBIAN_${upper}_${variable}}" PARENT_SCOPE)
  endforeach()
endfunction()

ztna_package(tool ztna
  "The tool. It shows what this machine's daemons do and which path a session takes, finds out\n\
what a network allows, runs a private certificate authority and checks policies. Its\n\
laboratory plays all of it behind real NATs, in network namespaces.")
ztna_installed_document(tool ztna "${PROJECT_SOURCE_DIR}/CHANGELOG.md" CHANGELOG.md)
set(CPACK_DEBIAN_TOOL_PACKAGE_SUGGESTS
    "ztna-intermediate, ztna-connector, ztna-agent, python3, iproute2, nftables, conntrack, tcpdump")
ztna_role_package(intermediate
  "The Intermediate, on the one public machine. It introduces Agents and Connectors to each other, tells them\n\
their address, and relays their encrypted sessions where no direct path is found.")
ztna_role_package(connector
  "The Connector. It stands next to private services and offers them to the Agents that the policy allows.\n\
It dials out to an Intermediate; nothing has to be let in.")
ztna_role_package(agent
  "The Agent. It brings private services to this machine: to local ports, to addresses of their own, or by\n\
name through SOCKS5. It dials out to an Intermediate; nothing has to be let in.")

set(CPACK_PACKAGE_NAME ztna)
set(CPACK_PACKAGE_VENDOR ZTNA)
set(CPACK_PACKAGE_CONTACT "${ZTNA_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Zero-trust access to private services")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL tool intermediate connector agent)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_RELEASE 1)
set(CPACK_RPM_PACKAGE_LICENSE Apache-2.0)
set(CPACK_RPM_PACKAGE_GROUP "Applications/Internet")
set(CPACK_RPM_PACKAGE_DESCRIPTION
    "The Intermediate, the Connector and the Agent, each as a service that is to be configured and
enabled, and ztna, the tool.")
set(CPACK_RPM_PACKAGE_REQUIRES_POST "shadow-utils, coreutils")
set(CPACK_RPM_POST_INSTALL_SCRIPT_FILE "${packaging}/rpm/post")
set(CPACK_RPM_PRE_UNINSTALL_SCRIPT_FILE "${packaging}/rpm/preun")
set(CPACK_RPM_POST_UNINSTALL_SCRIPT_FILE "${packaging}/rpm/postun")
set(CPACK_RPM_USER_FILELIST
    "%config(noreplace) /etc/ztna/intermediate.env" "%config(noreplace) /etc/ztna/connector.env"
    "%config(noreplace) /etc/ztna/agent.env")
# Folders of other packages; ours may not own them.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION
    /usr/lib/systemd /usr/lib/systemd/system /usr/share/man /usr/share/man/man1 /usr/share/man/man8
    /usr/share/bash-completion /usr/share/bash-completion/completions
    /usr/share/zsh /usr/share/zsh/site-functions /usr/share/zsh/vendor-completions)
set(CPACK_PROJECT_CONFIG_FILE "${packaging}/cpack.cmake")
include(CPack)

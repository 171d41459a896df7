# Every third-party library, from the distribution's packages. Nothing is downloaded.
find_package(PkgConfig REQUIRED)

pkg_check_modules(NGTCP2 QUIET libngtcp2)
pkg_check_modules(NGTCP2_CRYPTO QUIET libngtcp2_crypto_gnutls)
if(NOT NGTCP2_FOUND OR NOT NGTCP2_CRYPTO_FOUND OR NGTCP2_VERSION VERSION_LESS 1.11)
  message(FATAL_ERROR
    "ngtcp2 1.11 or newer is needed, found \"${NGTCP2_VERSION}\".\n"
    "On Debian 12:  apt-get install -t bookworm-backports libngtcp2-dev libngtcp2-crypto-gnutls-dev\n"
    "On Debian 13:  apt-get install libngtcp2-dev libngtcp2-crypto-gnutls-dev\n"
    "or run ./setup, which does it for you.")
endif()
pkg_check_modules(GNUTLS REQUIRED IMPORTED_TARGET gnutls)

# ngtcp2 changes its soname between distributions: link its archives where they exist.
find_library(NGTCP2_ARCHIVE libngtcp2.a)
find_library(NGTCP2_CRYPTO_ARCHIVE libngtcp2_crypto_gnutls.a)
add_library(ztna_ngtcp2 INTERFACE)
if(NGTCP2_ARCHIVE AND NGTCP2_CRYPTO_ARCHIVE)
  target_link_libraries(ztna_ngtcp2 INTERFACE
    "${NGTCP2_CRYPTO_ARCHIVE}" "${NGTCP2_ARCHIVE}" PkgConfig::GNUTLS)
else()
  pkg_check_modules(NGTCP2_SHARED REQUIRED IMPORTED_TARGET libngtcp2 libngtcp2_crypto_gnutls)
  target_link_libraries(ztna_ngtcp2 INTERFACE PkgConfig::NGTCP2_SHARED PkgConfig::GNUTLS)
endif()

# The fast AEAD is optional: x86-64 only, and chosen at run time.
find_path(IPSEC_MB_INCLUDE intel-ipsec-mb.h)
find_library(IPSEC_MB_LIBRARY NAMES libIPSec_MB.a IPSec_MB)
add_library(ztna_ipsec_mb INTERFACE)
if(IPSEC_MB_INCLUDE AND IPSEC_MB_LIBRARY AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_include_directories(ztna_ipsec_mb INTERFACE "${IPSEC_MB_INCLUDE}")
  target_link_libraries(ztna_ipsec_mb INTERFACE "${IPSEC_MB_LIBRARY}")
  target_compile_definitions(ztna_ipsec_mb INTERFACE ZTNA_HAVE_IPSEC_MB=1)
endif()

find_package(Boost 1.81 REQUIRED CONFIG)
set(Protobuf_USE_STATIC_LIBS ON)
find_package(Protobuf REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Threads REQUIRED)

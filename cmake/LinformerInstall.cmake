# Headers, CMake package and pkg-config file. All of it is independent of the architecture, so it lies under share/.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/linformer)
set(pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/linformer" DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS linformer EXPORT linformerTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT linformerTargets NAMESPACE linformer:: DESTINATION ${package_dir})

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/linformerConfig.cmake.in" linformerConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(linformerConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/linformerConfig.cmake" "${CMAKE_CURRENT_BINARY_DIR}/linformerConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/LinformerSentencePiece.cmake" "${PROJECT_SOURCE_DIR}/cmake/LinformerTokenizers.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/LinformerMpi.cmake"
  DESTINATION ${package_dir})

# The prefix is given relative to the file, so that the installed tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig "/prefix/${pkgconfig_dir}" /prefix)
configure_file("${PROJECT_SOURCE_DIR}/cmake/linformer.pc.in" linformer.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/linformer.pc" DESTINATION ${pkgconfig_dir})
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/linformer)

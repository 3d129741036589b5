# Libraries, headers, the tool, and what find_package(filz) and pkg-config need. The result may be moved elsewhere.
include(CMakePackageConfigHelpers)

install(TARGETS filz ${filz_libraries} EXPORT filz)
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET filz_tool)
    install(TARGETS filz_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    install(FILES c/tool/filz.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES c/tool/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME filz)
endif()

# The libraries need no other package, so the list of targets is the whole filzConfig.cmake.
install(EXPORT filz NAMESPACE filz:: FILE filzConfig.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/filz)
write_basic_package_version_file(filzConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filzConfigVersion.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/filz)

# The paths in filz.pc start from where filz.pc is, unless the library folder was given as an absolute path.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(filz_pc_prefix ${CMAKE_INSTALL_PREFIX})
else()
    file(RELATIVE_PATH filz_pc_prefix "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    set(filz_pc_prefix "\${pcfiledir}/${filz_pc_prefix}")
endif()
string(REGEX REPLACE "/$" "" filz_pc_prefix "${filz_pc_prefix}")
cmake_path(APPEND filz_pc_libdir "\${prefix}" "${CMAKE_INSTALL_LIBDIR}")
cmake_path(APPEND filz_pc_includedir "\${prefix}" "${CMAKE_INSTALL_INCLUDEDIR}")
configure_file(cmake/filz.pc.in filz.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filz.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

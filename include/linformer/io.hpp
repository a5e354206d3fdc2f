#pragma once

// Files: atomic writing, mapped reading, and safetensors. Link linformer::io, which brings nlohmann-json; POSIX only.

#include <linformer/io/atomic_file.hpp>
#include <linformer/io/mapped_file.hpp>
#include <linformer/io/parameters.hpp>
#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

#pragma once

// Weights in safetensors files. Link linformer::io, which brings nlohmann-json; POSIX only.

#include <linformer/io/parameters.hpp>
#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>

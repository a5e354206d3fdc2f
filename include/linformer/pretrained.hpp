#pragma once

// Models from other libraries' checkpoints. Link linformer::io, which brings nlohmann-json; POSIX only.

#include <linformer/pretrained/load_pretrained.hpp>

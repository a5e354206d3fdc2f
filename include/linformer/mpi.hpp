#pragma once

// Several processes, on one machine or many, through MPI. Link linformer::mpi, which brings it.

#include <linformer/mpi/environment.hpp>
#include <linformer/mpi/world.hpp>

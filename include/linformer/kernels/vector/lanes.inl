// Vectors in memory of any alignment; they may alias floats.
typedef float Lanes __attribute__((vector_size(LINFORMER_LANES * 4)));
typedef float LanesInMemory __attribute__((vector_size(LINFORMER_LANES * 4), aligned(4), may_alias));
typedef int IntegerLanes __attribute__((vector_size(LINFORMER_LANES * 4)));
typedef unsigned UnsignedLanes __attribute__((vector_size(LINFORMER_LANES * 4)));
typedef unsigned long long WideLanes __attribute__((vector_size(LINFORMER_LANES * 4)));

constexpr Index lanes = LINFORMER_LANES;
constexpr Index tile_rows = LINFORMER_TILE_ROWS;
constexpr Index tile_columns = 3 * LINFORMER_LANES;
constexpr Index tile_depth = LINFORMER_TILE_DEPTH;  // what a tile reads of b stays in the first-level cache

inline Lanes broadcast(float value) { return value - Lanes{}; }
inline Lanes load(const float* from) { return *reinterpret_cast<const LanesInMemory*>(from); }
inline void store(float* to, Lanes value) { *reinterpret_cast<LanesInMemory*>(to) = value; }
/// The first `count` values of a vector, fewer than it has; the others are zero. Nothing beside them is read.
inline Lanes load_first(const float* from, Index count) {
  float values[LINFORMER_LANES] = {};
  for (Index i = 0; i < count; ++i) values[i] = from[i];
  return load(values);
}
inline void store_first(float* to, Index count, Lanes value) {
  float values[LINFORMER_LANES];
  store(values, value);
  for (Index i = 0; i < count; ++i) to[i] = values[i];
}
/// Keeps a value in a register. GCC, where it compiles for AMD's processors, would load it again for each use.
inline Lanes in_register(Lanes value) {
  asm("" : LINFORMER_VECTOR_REGISTER(value));  // NOLINT(hicpp-no-assembler)
  return value;
}
/// a·b + c, rounded once. Not written as such: GCC would split it in two where it compiles for AMD's processors.
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) { return LINFORMER_MULTIPLY_ADD(a, b, c); }

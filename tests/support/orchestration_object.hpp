// For test objects alone: what the headers of the other system put into an orchestration, made again in our
// words from its binary interface. An object includes this once, in one source, and defines
//
//   extern "C" OBJECT_EXPORT void aicpu_orchestration_entry(const ChipArguments& run) { … }
//
// Compiled with OBJECT_HOST_GRAPH it is an object of the runtime whose graph is built before launch. It knows
// no header of troupe, so that the two sides of the border were written twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#define OBJECT_EXPORT __attribute__((visibility("default")))

namespace object {

constexpr std::uint64_t no_task = ~std::uint64_t{0};

enum class Type : std::uint8_t {
  f32,
  f16,
  i32,
  i16,
  i8,
  u8,
  bf16,
  i64,
  u64,
  u16,
  u32,
  boolean,
  f8_e4m3,
  f8_e8m0,
  f4_e2m1
};
inline std::uint64_t bytes_of(Type type) {
  constexpr std::uint64_t sizes[] = {4, 2, 4, 2, 1, 1, 2, 8, 8, 2, 4, 1, 1, 1, 1};
  return sizes[static_cast<int>(type)];
}

struct alignas(64) Tensor {
  std::uint64_t address, size, owner, start;
  std::int32_t version;
  std::uint32_t ndims;
  Type type;
  std::uint8_t manual, contiguous, space;
  std::uint32_t shape[5];
  std::uint64_t extent;
  std::uint32_t strides[5];
  std::uint8_t reserved[36];

  std::uint64_t elements() const {
    std::uint64_t product = 1;
    for (std::uint32_t d = 0; d < ndims; ++d) product *= shape[d];
    return product;
  }
  void measure() {
    extent = 1;
    std::uint64_t row_major = 1;
    contiguous = 1;
    for (std::uint32_t d = ndims; d-- > 0;) {
      if (shape[d] == 0) {
        extent = 0;
        contiguous = 1;
        return;
      }
      extent += std::uint64_t{shape[d] - 1} * strides[d];
      if (shape[d] != 1 && strides[d] != row_major) contiguous = 0;
      row_major *= shape[d];
    }
  }
  void row_major() {
    std::uint64_t step = 1;
    for (std::uint32_t d = ndims; d-- > 0;) {
      strides[d] = static_cast<std::uint32_t>(step);
      step *= shape[d];
    }
  }
  /// A part: the first line is inherited, so also who made it.
  Tensor view(const std::uint32_t* shapes, const std::uint32_t* offsets, bool manual_dep = false) const {
    Tensor part;
    std::memcpy(&part, this, 64);
    std::memcpy(part.strides, strides, sizeof strides);
    for (std::uint32_t d = 0; d < ndims; ++d) {
      part.shape[d] = shapes[d];
      part.start += std::uint64_t{offsets[d]} * strides[d];
    }
    part.manual = manual_dep ? 1 : 0;
    part.measure();
    return part;
  }
  Tensor rows(std::uint32_t begin, std::uint32_t end, bool manual_dep = false) const {
    std::uint32_t shapes[5], offsets[5] = {begin};
    std::memcpy(shapes, shape, sizeof shape);
    shapes[0] = end - begin;
    return view(shapes, offsets, manual_dep);
  }
};
static_assert(sizeof(Tensor) == 128 && alignof(Tensor) == 64 && std::is_trivially_copyable<Tensor>::value,
              "");
static_assert(offsetof(Tensor, start) == 24 && offsetof(Tensor, ndims) == 36 && offsetof(Tensor, type) == 40,
              "");
static_assert(offsetof(Tensor, shape) == 44 && offsetof(Tensor, extent) == 64 &&
                  offsetof(Tensor, strides) == 72,
              "");

inline Tensor external(std::uint64_t address, const std::uint32_t* shapes, std::uint32_t ndims, Type type,
                       bool manual_dep = false) {
  Tensor tensor{};
  tensor.address = address;
  tensor.owner = no_task;
  tensor.ndims = ndims;
  tensor.type = type;
  tensor.manual = manual_dep ? 1 : 0;
  std::memcpy(tensor.shape, shapes, ndims * sizeof *shapes);
  tensor.row_major();
  tensor.measure();
  tensor.size = tensor.elements() * bytes_of(type);
  return tensor;
}

/// A tensor that the chip is to make.
struct alignas(64) NewTensor {
#ifdef OBJECT_HOST_GRAPH
  std::uint8_t unused[16] = {};
#else
  std::uint64_t initial = 0;
  std::uint8_t has_initial = 0;
  std::uint8_t unused[7] = {};
#endif
  std::uint64_t unused_too = 0, start = 0;
  std::int32_t version = 0;
  std::uint32_t ndims = 0;
  Type type = Type::f32;
  std::uint8_t manual = 0, contiguous = 1, space = 0;
  std::uint32_t shape[5] = {};

  NewTensor(const std::uint32_t* shapes, std::uint32_t dimensions, Type element = Type::f32)
      : ndims(dimensions), type(element) {
    std::memcpy(shape, shapes, dimensions * sizeof *shapes);
  }
  explicit NewTensor(std::uint32_t elements, Type element = Type::f32) : NewTensor(&elements, 1, element) {}
#ifndef OBJECT_HOST_GRAPH
  template <class T>
  NewTensor& fill(T value) {
    std::memcpy(&initial, &value, sizeof value);
    has_initial = 1;
    return *this;
  }
#endif
};
static_assert(sizeof(NewTensor) == 64 && alignof(NewTensor) == 64, "");
static_assert(offsetof(NewTensor, start) == 24 && offsetof(NewTensor, shape) == 44, "");

struct Kernels {
  std::int32_t aic = -1, aiv0 = -1, aiv1 = -1;
};
struct Launch {
  std::int16_t blocks = 1;
  bool sync_start = false;
};
enum class Compare : std::uint8_t { none, equal, not_equal, greater, less, greater_equal, less_equal };
struct Predicate {
  const Tensor* tensor = nullptr;
  std::uint32_t ndims = 0;
  std::uint32_t indices[5] = {};
  Compare operation = Compare::none;
  std::int64_t target = 0;
};
static_assert(sizeof(Predicate) == 48, "");
struct Dump {
  std::uint64_t mask = 0, ambiguous = 0, sources[16] = {};
  std::uint8_t types[16] = {};
};
enum Tag : std::int32_t { input, output, both, existing, no_dep };
constexpr std::uint8_t waits = 1, retains = 2;

template <std::size_t Tensors, std::size_t Scalars>
struct Arguments {
  std::int32_t tags[Tensors];
  const void* tensors[Tensors];
  std::uint64_t scalars[Scalars];
  std::int32_t tensor_count = 0, scalar_count = 0;
  bool has_error = false;
  const char* error_text = nullptr;
  Launch launch;
  bool early_resolve = false;
  Predicate predicate;
  std::int32_t timing_slot = -1;
#ifdef OBJECT_HOST_GRAPH
  const std::uint64_t* scalar_sources[Scalars];
  bool sources_invalidated[Scalars];
#endif
  Dump dump;
  const std::uint64_t* dependencies = nullptr;
#ifndef OBJECT_HOST_GRAPH
  const std::uint8_t* dependency_kinds = nullptr;
#endif
  std::uint32_t dependency_count = 0;

  Arguments() = default;
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void error(const char* what) {
    if (!has_error) error_text = what;
    has_error = true;
  }
  Arguments& put(std::int32_t tag, const void* tensor) {
    if (scalar_count != 0) return error("a tensor behind scalars"), *this;
    if (tensor_count == static_cast<std::int32_t>(Tensors)) return error("too many tensors"), *this;
    tags[tensor_count] = tag;
    tensors[tensor_count++] = tensor;
    return *this;
  }
  Arguments& in(const Tensor& tensor) { return put(input, &tensor); }
  Arguments& out(const Tensor& tensor) { return put(existing, &tensor); }
  Arguments& out(const NewTensor& tensor) { return put(output, &tensor); }
  // What is named has to live until the submit.
  Arguments& in(const Tensor&&) = delete;
  Arguments& out(const Tensor&&) = delete;
  Arguments& out(const NewTensor&&) = delete;
  Arguments& inout(const Tensor&&) = delete;
  Arguments& unordered(const Tensor&&) = delete;
  Arguments& inout(const Tensor& tensor) { return put(both, &tensor); }
  Arguments& unordered(const Tensor& tensor) { return put(no_dep, &tensor); }
  template <class T>
  Arguments& scalar(T value) {
    static_assert(sizeof value <= 8, "");
    if (scalar_count == static_cast<std::int32_t>(Scalars)) return error("too many scalars"), *this;
    std::uint64_t word = 0;
    std::memcpy(&word, &value, sizeof value);
    scalars[scalar_count++] = word;
    return *this;
  }
  Arguments& after(const std::uint64_t* tasks, std::uint32_t count) {
    if (count != 0 && dependency_count != 0) return error("dependencies are set twice"), *this;
    dependencies = tasks;
    dependency_count = count;
    return *this;
  }
  Arguments& when(const Tensor& tensor, std::uint32_t index, Compare operation, std::int64_t target) {
    predicate.tensor = &tensor;
    predicate.ndims = 1;
    predicate.indices[0] = index;
    predicate.operation = operation;
    predicate.target = target;
    return *this;
  }
  Arguments& blocks(std::int16_t count, bool together = false) {
    launch.blocks = count;
    launch.sync_start = together;
    return *this;
  }

  const Tensor& tensor(std::int32_t i) const { return *static_cast<const Tensor*>(tensors[i]); }
  template <class T>
  T scalar_as(std::int32_t i) const {
    T value;
    std::memcpy(&value, &scalars[i], sizeof value);
    return value;
  }
};
using TaskArguments = Arguments<32, 16>;
using ChipArguments = Arguments<256, 128>;
#ifdef OBJECT_HOST_GRAPH
using GraphArguments = Arguments<128, 64>;
static_assert(sizeof(TaskArguments) == 920 && sizeof(ChipArguments) == 5512 && sizeof(GraphArguments) == 2888,
              "");
#else
static_assert(sizeof(TaskArguments) == 784 && sizeof(ChipArguments) == 4368, "");
#endif

struct Outputs {
  std::uint64_t task = no_task;
  std::uint32_t count = 0;
  const Tensor* tensors[32] = {};
  /// Of a task that was not submitted, as its run had failed before: a tensor of nothing.
  const Tensor& operator[](std::size_t i) const {
    static const Tensor nothing{};
    return i < count ? *tensors[i] : nothing;
  }
};
static_assert(sizeof(Outputs) == 272, "");

struct GraphScope {
  bool execute_block = true, recording = false;
  std::uint64_t task = no_task;
  void* handle = nullptr;
};
static_assert(sizeof(GraphScope) == 24, "");

struct Runtime;
using LogLine = void (*)(const char* function, const char* format, ...);
struct Ops {
  Outputs (*submit)(Runtime*, const Kernels&, const TaskArguments&);
  void (*scope_begin)(Runtime*);
  void (*scope_end)(Runtime*);
  void (*done)(Runtime*);
  bool (*is_fatal)(Runtime*);
  void (*report_fatal)(Runtime*, std::int32_t, const char*, const char*, ...);
  LogLine log_error, log_warn, log_timing, log_info, log_debug;
  std::uint64_t (*get)(Runtime*, const Tensor&, std::uint32_t, const std::uint32_t[]);
  void (*set)(Runtime*, const Tensor&, std::uint32_t, const std::uint32_t[], std::uint64_t);
  Outputs (*alloc)(Runtime*, const TaskArguments&);
  Outputs (*submit_dummy)(Runtime*, const TaskArguments&);
  std::int32_t (*clusters)(Runtime*);
  std::int32_t (*vector_cores)(Runtime*);
#ifdef OBJECT_HOST_GRAPH
  GraphScope (*graph_begin)(Runtime*, std::uint64_t, const GraphArguments&);
  bool (*graph_prepare)(Runtime*, void*, const GraphArguments&);
  void (*graph_abort)(Runtime*, void*);
  bool (*graph_end)(Runtime*);
  void (*graph_commit)(Runtime*);
#endif
  void (*scope_site)(const char*, int);
};
#ifdef OBJECT_HOST_GRAPH
static_assert(sizeof(Ops) == 184, "");
#else
static_assert(sizeof(Ops) == 144, "");
#endif
enum class Mode : std::uint8_t { automatic, manual };
struct Runtime {
  const Ops* ops;
  Mode pending;
};

struct LogState {
  std::uint32_t version, size;
  std::int32_t threshold, process;
};

inline Runtime*& bound() {
  static Runtime* runtime = nullptr;
  return runtime;
}
inline LogState*& log_state() {
  static LogState* state = nullptr;
  return state;
}

inline bool is_fatal() { return bound()->ops->is_fatal(bound()); }
inline Outputs submit(const Kernels& kernels, const TaskArguments& arguments) {
  return is_fatal() ? Outputs() : bound()->ops->submit(bound(), kernels, arguments);
}
inline Outputs aiv(std::int32_t kernel, const TaskArguments& arguments) {
  return submit({-1, kernel, -1}, arguments);
}
inline Outputs aic(std::int32_t kernel, const TaskArguments& arguments) {
  return submit({kernel, -1, -1}, arguments);
}
inline Outputs dummy(const TaskArguments& arguments) {
  return is_fatal() ? Outputs() : bound()->ops->submit_dummy(bound(), arguments);
}
inline Outputs alloc(const TaskArguments& arguments) {
  return is_fatal() ? Outputs() : bound()->ops->alloc(bound(), arguments);
}
inline Outputs alloc_one(const NewTensor& tensor) {
  TaskArguments arguments;
  arguments.out(tensor);
  return alloc(arguments);
}
inline std::int32_t clusters() { return bound()->ops->clusters(bound()); }
inline std::int32_t vector_cores() { return bound()->ops->vector_cores(bound()); }
template <class T>
T get(const Tensor& tensor, std::uint32_t ndims, const std::uint32_t* indices) {
  const std::uint64_t word = is_fatal() ? 0 : bound()->ops->get(bound(), tensor, ndims, indices);
  T value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}
template <class T>
T get(const Tensor& tensor, std::uint32_t index) {
  return get<T>(tensor, 1, &index);
}
template <class T>
void set(const Tensor& tensor, std::uint32_t index, T value) {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  if (!is_fatal()) bound()->ops->set(bound(), tensor, 1, &index, word);
}
#define OBJECT_FATAL(code, ...) \
  object::bound()->ops->report_fatal(object::bound(), code, __func__, __VA_ARGS__)
#define OBJECT_LOG(level, ...) object::bound()->ops->log_##level(__func__, __VA_ARGS__)

class Scope {
 public:
  explicit Scope(Mode mode = Mode::automatic) : runtime_(bound()), began_(!is_fatal()) {
    if (!began_) return;
    runtime_->pending = mode;
    if (runtime_->ops->scope_site != nullptr) runtime_->ops->scope_site(__FILE__, __LINE__);
    runtime_->ops->scope_begin(runtime_);
  }
  ~Scope() {
    if (began_ && !runtime_->ops->is_fatal(runtime_)) runtime_->ops->scope_end(runtime_);
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

 private:
  Runtime* runtime_;
  bool began_;
};

#ifdef OBJECT_HOST_GRAPH
/// A graph, on the ordinary path and on no other: the flow of the other system's headers when they are told
/// to execute the block.
template <class Body>
std::uint64_t graph(std::uint64_t key, const GraphArguments& arguments, Body body) {
  if (is_fatal()) return no_task;
  const GraphScope scope = bound()->ops->graph_begin(bound(), key, arguments);
  if (scope.execute_block) body(arguments);
  return scope.task;
}
#endif

}  // namespace object

#ifndef OBJECT_WITHOUT_BIND
extern "C" OBJECT_EXPORT __attribute__((used)) void framework_bind_runtime(object::Runtime* runtime) {
  object::bound() = runtime;
}
#endif
#ifndef OBJECT_LOG_ANSWER
#define OBJECT_LOG_ANSWER 0
#endif
#ifndef OBJECT_WITHOUT_LOG
extern "C" OBJECT_EXPORT __attribute__((used)) int simpler_host_log_bind_state(object::LogState* state) {
  object::log_state() = state;
  return state->version == 1 && state->size == sizeof *state ? OBJECT_LOG_ANSWER : -1;
}
#endif
#ifdef OBJECT_HOST_GRAPH
extern "C" OBJECT_EXPORT __attribute__((used)) void framework_prewarm_graph_recorders() {}
#endif

using object::ChipArguments;
using object::TaskArguments;

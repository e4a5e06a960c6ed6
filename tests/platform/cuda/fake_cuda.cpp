// A library in the place of libcuda.so.1, for tests: two cards whose kernels are those of the conformance
// suite. It keeps the contract of the driver interface and ends the process when its user does
// not: handles that are not live, calls without a current context, memory that is not the device's, things
// that are left behind when the context ends. Work is done when somebody looks for an end.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "libcuda/cuda_types.hpp"
#include "troupe/runtime/device_block.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace troupe::platform::cuda::cu;

[[noreturn]] void broken(const std::string& what) {
  std::fprintf(stderr, "fake libcuda: %s\n", what.c_str());
  std::abort();
}
void need(bool holds, const char* what) {
  if (!holds) broken(what);
}

struct Work {
  std::function<bool()> go;  // true: done
};
/// A launch of a graph: what it does, and after which of the others.
struct Node {
  std::function<bool()> go;
  std::vector<GraphNode> after;
};
struct Card {
  int retained = 0;
  std::map<std::uint64_t, std::size_t> memory;  // of the device
  std::map<std::uint64_t, std::size_t> mapped;  // of the host
  std::map<Stream, std::deque<Work>> streams;
  struct Mark {
    std::uint64_t recorded = 0, ended = 0;
  };
  std::map<Event, Mark> events;
  std::set<Module> modules;
  std::map<Function, std::string> functions;
  std::map<Graph, std::vector<std::pair<GraphNode, Node>>> graphs;
  std::map<GraphExec, std::vector<std::pair<GraphNode, Node>>> executables;
  bool dead = false;  // after a fault
};
struct Fake {
  std::mutex mutex;
  Card cards[2];
  std::uint64_t next = 1, calls = 0, failing = 0;
  Result failure = 0;
  /// Something has failed by order: what was begun may be left where it is.
  bool has_failed() const { return failing != 0 && calls >= failing; }
};
Fake& fake() {
  static Fake the_fake;
  return the_fake;
}
thread_local Card* current = nullptr;  // the context of the thread, as the real one has it
Card& card() { return *current; }
Card* card_of(Device number) {
  need(number == 0 || number == 1, "a device that is not there");
  return &fake().cards[number];
}

template <class T>
T fresh() {
  return reinterpret_cast<T>(fake().next++ << 8U);
}

/// Around functions that give back: they work whatever has happened.
struct Held {
  Held() : lock(fake().mutex) {
    need(current != nullptr && card().retained > 0, "a call without a current context");
  }
  std::unique_lock<std::mutex> lock;
};

/// Around every other function: its turn, whether it fails by order, whether its thread has the context.
struct Call {
  explicit Call(bool in_context = true) : lock(fake().mutex) {
    need(!in_context || (current != nullptr && card().retained > 0), "a call without a current context");
    if (++fake().calls == fake().failing) answer = fake().failure;
    if (in_context && answer == illegal_address) card().dead = true;
    if (in_context && card().dead) answer = illegal_address;
  }
  bool goes_on() const { return answer == success; }
  std::unique_lock<std::mutex> lock;
  Result answer = success;
};

bool inside(const std::map<std::uint64_t, std::size_t>& pieces, std::uint64_t at, std::size_t bytes) {
  auto after = pieces.upper_bound(at);
  return after != pieces.begin() && at - std::prev(after)->first + bytes <= std::prev(after)->second;
}

void advance() {
  for (bool moved = true; moved;) {
    moved = false;
    for (auto& one : fake().cards) {
      if (one.dead) continue;
      for (auto& [stream, works] : one.streams) {
        while (!works.empty() && works.front().go()) {
          works.pop_front();
          moved = true;
        }
      }
    }
  }
}

float* floats(troupe_device_block& block, int i) {
  return reinterpret_cast<float*>(block.descriptors[i].address) + block.descriptors[i].start_offset;
}
std::uint64_t elements(const troupe_device_block& block, int i) {
  std::uint64_t count = 1;
  for (std::uint32_t d = 0; d < block.descriptors[i].ndims; ++d) count *= block.descriptors[i].shapes[d];
  return count;
}

/// The suite's kernels. False: it goes on.
bool run_kernel(const std::string& name, troupe_device_block& block, unsigned blocks, unsigned lanes) {
  if (name == "kernel_entry") {
    const auto n = elements(block, 2);
    float s = 0;
    std::memcpy(&s, &block.words[3], sizeof s);
    for (std::uint64_t i = 0; i < n; ++i) floats(block, 2)[i] = floats(block, 0)[i] + floats(block, 1)[i] + s;
  } else if (name == "conformance_copy") {
    std::copy_n(floats(block, 0), elements(block, 1), floats(block, 1));
  } else if (name == "conformance_add_scalar") {
    float s = 0;
    std::memcpy(&s, &block.words[block.tensors], sizeof s);
    const auto& x = block.descriptors[0];
    for (std::uint32_t i = 0; i < x.shapes[0]; ++i) {
      for (std::uint32_t j = 0; j < x.shapes[1]; ++j)
        floats(block, 0)[i * x.strides[0] + j * x.strides[1]] += s;
    }
  } else if (name == "conformance_scribble") {
    std::fill_n(floats(block, 0), elements(block, 0), -1.0f);
    std::fill_n(floats(block, 1), elements(block, 1), 1.0f);
  } else if (name == "conformance_fail") {
    std::strcpy(block.text, "this kernel fails on purpose");
    std::atomic_ref(block.verdict).store(TROUPE_VERDICT_FAILED);
  } else if (name == "conformance_wait" && *reinterpret_cast<int*>(floats(block, 0)) == 1) {
    return true;
  } else if (name == "conformance_until_aborted" || name == "conformance_wait") {
    if (std::atomic_ref(block.abort).load() == 0) return false;
    std::atomic_ref(block.verdict).store(TROUPE_VERDICT_ABORTED);
  } else if (name == "conformance_lanes") {
    auto *x = reinterpret_cast<int*>(floats(block, 0)), *y = reinterpret_cast<int*>(floats(block, 1));
    std::fill_n(x, lanes, static_cast<int>(lanes));
    y[0] = static_cast<int>(lanes * lanes);
    y[1] = static_cast<int>(lanes);
  } else if (name == "conformance_raise") {
    *reinterpret_cast<int*>(floats(block, 0)) = 1;
  } else if (name == "conformance_blocks") {
    auto* x = reinterpret_cast<int*>(floats(block, 0));
    for (unsigned b = 0; b < blocks; ++b) x[b] += static_cast<int>(blocks);
  } else {
    broken("no such kernel: " + name);
  }
  return true;
}

/// As the entry of device_kernel.hpp does.
bool enter(const Card& on, const std::string& name, troupe_device_block& block, unsigned blocks,
           unsigned lanes) {
  if (std::atomic_ref(block.started).exchange(1) == 0) {
    for (std::uint32_t i = 0; i < block.producers; ++i) {
      need(inside(on.mapped, block.producer[i], sizeof block), "a call looks at a block that is not there");
      auto& before = *reinterpret_cast<troupe_device_block*>(block.producer[i]);
      if (std::atomic_ref(before.verdict).load() == 0 && std::atomic_ref(before.abort).load() == 0) continue;
      std::atomic_ref(block.verdict).store(TROUPE_VERDICT_SKIPPED);
    }
    if (std::atomic_ref(block.verdict).load() == 0 && std::atomic_ref(block.abort).load() != 0) {
      std::atomic_ref(block.verdict).store(TROUPE_VERDICT_ABORTED);
    }
  }
  return std::atomic_ref(block.verdict).load() != 0 || run_kernel(name, block, blocks, lanes);
}

Result copy(std::uint64_t to, std::uint64_t from, std::size_t bytes, Stream stream) {
  need(card().streams.contains(stream), "a copy on a stream that is not there");
  card().streams[stream].push_back({[=] {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return true;
  }});
  return success;
}

}  // namespace

// For tests: call number `call` from now on fails with `code` (0: none); how many there were. An illegal
// address is a fault besides: nothing works any more in the context of the call until it begins anew.
EXPORT std::uint64_t fake_cuda_fail(std::uint64_t call, Result code) {
  const std::lock_guard lock(fake().mutex);
  fake().failing = call == 0 ? 0 : fake().calls + call;
  fake().failure = code;
  return fake().calls;
}
// A kernel on that card has written where it must not.
EXPORT void fake_cuda_fault(int number) {
  const std::lock_guard lock(fake().mutex);
  card_of(number)->dead = true;
}

EXPORT Result cuInit(unsigned flags) {
  const Call call(false);
  need(flags == 0, "cuInit with flags");
  return call.answer;
}
EXPORT Result cuDriverGetVersion(int* version) {
  *version = 13000;
  return success;
}
EXPORT Result cuGetErrorName(Result code, const char** name) {
  *name = code == illegal_address ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : code == out_of_memory ? "CUDA_ERROR_OUT_OF_MEMORY"
                                  : "CUDA_ERROR_UNKNOWN";
  return success;
}
EXPORT Result cuGetErrorString(Result, const char** text) {
  *text = "by order of a test";
  return success;
}
EXPORT Result cuDeviceGetCount(int* count) {
  const Call call(false);
  *count = 2;
  return call.answer;
}
EXPORT Result cuDeviceGet(Device* device, int number) {
  const Call call(false);
  need(number == 0 || number == 1, "a device that is not there");
  *device = number;
  return call.answer;
}
EXPORT Result cuDeviceGetName(char* name, int size, Device) {
  const Call call(false);
  std::snprintf(name, static_cast<std::size_t>(size), "a card of paper");
  return call.answer;
}
EXPORT Result cuDeviceTotalMem_v2(std::size_t* bytes, Device) {
  const Call call(false);
  *bytes = std::size_t{1} << 28;
  return call.answer;
}
EXPORT Result cuDeviceGetAttribute(int* value, int which, Device) {
  const Call call(false);
  *value = which == attribute_multiprocessor_count ? 4 : which == attribute_max_threads_per_block ? 1024 : 1;
  return call.answer;
}
EXPORT Result cuDevicePrimaryCtxRetain(Context* context, Device device) {
  const Call call(false);
  if (!call.goes_on()) return call.answer;
  ++card_of(device)->retained;
  *context = reinterpret_cast<Context>(card_of(device));
  return success;
}
EXPORT Result cuDevicePrimaryCtxRelease_v2(Device device) {
  const std::lock_guard lock(fake().mutex);
  Card& released = *card_of(device);
  need(released.retained > 0, "a context is released that was not retained");
  if (--released.retained > 0) return success;
  need(released.memory.empty(), "device memory is left behind");
  need(released.mapped.empty(), "mapped memory is left behind");
  need(released.streams.empty(), "a stream is left behind");
  need(released.events.empty(), "an event is left behind");
  need(released.modules.empty(), "a module is left behind");
  need(released.graphs.empty() && released.executables.empty(), "a graph is left behind");
  released.functions.clear();
  released.dead = false;
  return success;
}
EXPORT Result cuCtxSetCurrent(Context context) {
  auto* const wanted = reinterpret_cast<Card*>(context);
  need(wanted == nullptr || wanted == card_of(0) || wanted == card_of(1), "a context that is none");
  current = wanted;
  return success;
}
EXPORT Result cuMemAlloc_v2(Pointer* address, std::size_t bytes) {
  const Call call;
  if (!call.goes_on()) return call.answer;
  const auto at = reinterpret_cast<std::uint64_t>(std::aligned_alloc(256, (bytes + 255) / 256 * 256));
  card().memory[at] = bytes;
  *address = at;
  return success;
}
EXPORT Result cuMemFree_v2(Pointer address) {
  const Held held;
  need(card().memory.erase(address) == 1, "memory is freed that was not allocated");
  std::free(reinterpret_cast<void*>(address));
  return success;
}
EXPORT Result cuMemHostAlloc(void** memory, std::size_t bytes, unsigned flags) {
  const Call call;
  need((flags & memory_device_map) != 0, "host memory that is not mapped");
  if (!call.goes_on()) return call.answer;
  *memory = std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  card().mapped[reinterpret_cast<std::uint64_t>(*memory)] = bytes;
  return success;
}
EXPORT Result cuMemFreeHost(void* memory) {
  const Held held;
  need(card().mapped.erase(reinterpret_cast<std::uint64_t>(memory)) == 1, "host memory is freed twice");
  std::free(memory);
  return success;
}
EXPORT Result cuMemHostGetDevicePointer_v2(Pointer* address, void* memory, unsigned) {
  const Call call;
  *address = reinterpret_cast<std::uint64_t>(memory);
  need(card().mapped.contains(*address), "the device address of memory that is not mapped");
  return call.answer;
}
EXPORT Result cuMemcpyHtoDAsync_v2(Pointer to, const void* from, std::size_t bytes, Stream stream) {
  const Call call;
  need(inside(card().memory, to, bytes), "a copy to memory that is not the device's");
  return call.goes_on() ? copy(to, reinterpret_cast<std::uint64_t>(from), bytes, stream) : call.answer;
}
EXPORT Result cuMemcpyDtoHAsync_v2(void* to, Pointer from, std::size_t bytes, Stream stream) {
  const Call call;
  need(inside(card().memory, from, bytes), "a copy from memory that is not the device's");
  return call.goes_on() ? copy(reinterpret_cast<std::uint64_t>(to), from, bytes, stream) : call.answer;
}
EXPORT Result cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, std::size_t bytes, Stream stream) {
  const Call call;
  need(inside(card().memory, to, bytes) && inside(card().memory, from, bytes),
       "a copy between places that are not the device's");
  return call.goes_on() ? copy(to, from, bytes, stream) : call.answer;
}
EXPORT Result cuStreamCreate(Stream* stream, unsigned) {
  const Call call;
  if (!call.goes_on()) return call.answer;
  *stream = fresh<Stream>();
  card().streams[*stream];
  return success;
}
EXPORT Result cuStreamDestroy_v2(Stream stream) {
  const Held held;
  const auto found = card().streams.find(stream);
  need(found != card().streams.end(), "a stream is destroyed twice");
  need(found->second.empty() || card().dead || fake().has_failed(),
       "a stream is destroyed that has something to do");
  card().streams.erase(found);
  return success;
}
EXPORT Result cuStreamWaitEvent(Stream stream, Event event, unsigned) {
  const Call call;
  need(card().streams.contains(stream) && card().events.contains(event),
       "a wait for an event that is not there");
  if (!call.goes_on()) return call.answer;
  card().streams[stream].push_back({[on = current, event, upto = card().events[event].recorded] {
    const auto mark = on->events.find(event);
    return mark == on->events.end() || mark->second.ended >= upto;
  }});
  return success;
}
EXPORT Result cuEventCreate(Event* event, unsigned flags) {
  const Call call;
  need((flags & event_disable_timing) != 0, "an event that measures, which is slow");
  if (!call.goes_on()) return call.answer;
  *event = fresh<Event>();
  card().events[*event];
  return success;
}
EXPORT Result cuEventRecord(Event event, Stream stream) {
  const Call call;
  need(card().events.contains(event) && card().streams.contains(stream),
       "an event is recorded that is not there");
  if (!call.goes_on()) return call.answer;
  card().streams[stream].push_back({[on = current, event, number = ++card().events[event].recorded] {
    if (const auto mark = on->events.find(event); mark != on->events.end()) mark->second.ended = number;
    return true;
  }});
  return success;
}
EXPORT Result cuEventQuery(Event event) {
  const Call call;
  need(card().events.contains(event), "an event is asked for that is not there");
  if (!call.goes_on()) return call.answer;
  advance();
  return card().events[event].ended == card().events[event].recorded ? success : not_ready;
}
EXPORT Result cuEventSynchronize(Event event) {
  for (;;) {
    const Result code = cuEventQuery(event);
    if (code != not_ready) return code;
  }
}
EXPORT Result cuEventDestroy_v2(Event event) {
  const Held held;
  need(card().events.erase(event) == 1, "an event is destroyed twice");
  return success;
}
EXPORT Result cuModuleLoadData(Module* module, const void* code) {
  const Call call;
  if (!call.goes_on()) return call.answer;
  if (std::strstr(static_cast<const char*>(code), "wrong") != nullptr) return 218;  // invalid PTX
  *module = fresh<Module>();
  card().modules.insert(*module);
  return success;
}
EXPORT Result cuModuleUnload(Module module) {
  const Held held;
  need(card().modules.erase(module) == 1, "a module is unloaded twice");
  return success;
}
EXPORT Result cuModuleGetFunction(Function* function, Module module, const char* name) {
  const Call call;
  need(card().modules.contains(module), "a function of a module that is not there");
  if (!call.goes_on()) return call.answer;
  const std::string text = name;
  if (text != "kernel_entry" && !text.starts_with("troupe_kernel_conformance_")) return not_found;
  if (text == "troupe_kernel_conformance_stuck" || text == "troupe_kernel_conformance_put") return not_found;
  *function = fresh<Function>();
  card().functions[*function] = text == "kernel_entry" ? text : text.substr(std::strlen("troupe_kernel_"));
  return success;
}
EXPORT Result cuFuncLoad(Function function) {
  const Call call;
  need(card().functions.contains(function), "a function is loaded that is not there");
  return call.answer;
}
namespace {

/// A launch that fits, as something to do.
std::function<bool()> launch_of(Function function, unsigned x, unsigned lanes, void** parameters) {
  const auto& name = card().functions[function];
  std::uint64_t at = 0;
  std::memcpy(&at, parameters[0], sizeof at);
  const bool foreign = name == "kernel_entry";
  if (foreign) at -= offsetof(troupe_device_block, words);
  need(inside(card().mapped, at, sizeof(troupe_device_block)),
       "an argument block that is not in mapped memory");
  auto* block = reinterpret_cast<troupe_device_block*>(at);
  return [on = current, name, block, x, lanes, foreign] {
    return foreign ? run_kernel(name, *block, x, lanes) : enter(*on, name, *block, x, lanes);
  };
}

}  // namespace

EXPORT Result cuLaunchKernel(Function function, unsigned x, unsigned y, unsigned z, unsigned lanes, unsigned,
                             unsigned, unsigned, Stream stream, void** parameters, void** extra) {
  const Call call;
  need(card().functions.contains(function) && card().streams.contains(stream),
       "a launch of what is not there");
  need(x > 0 && y == 1 && z == 1 && lanes > 0 && lanes <= 1024 && extra == nullptr,
       "a launch of an odd shape");
  if (!call.goes_on()) return call.answer;
  card().streams[stream].push_back({launch_of(function, x, lanes, parameters)});
  return success;
}

EXPORT Result cuGraphCreate(Graph* graph, unsigned flags) {
  const Call call;
  need(flags == 0, "a graph with flags");
  if (!call.goes_on()) return call.answer;
  *graph = fresh<Graph>();
  card().graphs[*graph];
  return success;
}
EXPORT Result cuGraphAddKernelNode(GraphNode* node, Graph graph, const GraphNode* after, std::size_t count,
                                   const KernelNode* kernel) {
  const Call call;
  need(card().graphs.contains(graph) && card().functions.contains(kernel->function),
       "a node of what is not there");
  need(kernel->grid_x > 0 && kernel->grid_y == 1 && kernel->grid_z == 1 && kernel->block_x > 0 &&
           kernel->block_x <= 1024 && kernel->block_y == 1 && kernel->block_z == 1 &&
           kernel->shared_bytes == 0 && kernel->extra == nullptr,
       "a node of an odd shape");
  if (!call.goes_on()) return call.answer;
  auto& nodes = card().graphs[graph];
  Node made{launch_of(kernel->function, kernel->grid_x, kernel->block_x, kernel->parameters),
            {after, after + count}};
  for (const auto before : made.after) {
    need(std::any_of(nodes.begin(), nodes.end(), [&](const auto& known) { return known.first == before; }),
         "a node after one that is not of its graph");
  }
  *node = fresh<GraphNode>();
  nodes.emplace_back(*node, std::move(made));
  return success;
}
EXPORT Result cuGraphInstantiateWithFlags(GraphExec* executable, Graph graph, unsigned long long flags) {
  const Call call;
  need(card().graphs.contains(graph) && flags == 0, "a graph that is not there, or flags");
  if (!call.goes_on()) return call.answer;
  *executable = fresh<GraphExec>();
  card().executables[*executable] = card().graphs[graph];
  return success;
}
EXPORT Result cuGraphDestroy(Graph graph) {
  const Held held;
  need(card().graphs.erase(graph) == 1, "a graph is destroyed twice");
  return success;
}
EXPORT Result cuGraphExecDestroy(GraphExec executable) {
  const Held held;
  need(card().executables.erase(executable) == 1, "a graph is destroyed twice");
  return success;
}
EXPORT Result cuGraphLaunch(GraphExec executable, Stream stream) {
  const Call call;
  need(card().executables.contains(executable) && card().streams.contains(stream),
       "a launch of a graph that is not there");
  if (!call.goes_on()) return call.answer;
  card().streams[stream].push_back(
      {[nodes = card().executables[executable], over = std::set<GraphNode>()]() mutable {
        for (const auto& [number, node] : nodes) {
          const bool can_go =
              !over.contains(number) && std::all_of(node.after.begin(), node.after.end(),
                                                    [&](GraphNode before) { return over.contains(before); });
          if (can_go && node.go()) over.insert(number);
        }
        return over.size() == nodes.size();
      }});
  return success;
}

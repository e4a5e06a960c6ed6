// A kernel object as awkward as real ones are: built once for each KERNEL, with symbols that the compiler
// makes unique in the process, thread-local objects with destructors, code before and after, exceptions.
#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

template <class T>
struct Calls {
  inline static std::atomic<int> counted{0};
};

inline int first_seen(int now) {
  static const std::string number = std::to_string(now);
  return std::stoi(number);
}

struct AtThreadEnd {
  std::vector<std::string> calls;
  ~AtThreadEnd() { calls.clear(); }
};
inline thread_local AtThreadEnd at_thread_end;

static int begun = 0;
__attribute__((constructor)) static void begin() { begun = KERNEL; }
__attribute__((destructor)) static void end() { begun = 0; }

// Which kernel this is, in four ways, and which call of this load.
extern "C" void kernel_entry(std::int64_t* args) {
  auto* out = *reinterpret_cast<std::int32_t**>(args[0]);
  at_thread_end.calls.push_back("a call of a kernel that has a long enough text");
  try {
    throw std::runtime_error(std::to_string(KERNEL));
  } catch (const std::exception& thrown) {
    out[0] = std::stoi(thrown.what());
  }
  out[1] = first_seen(KERNEL);
  out[2] = begun;
  out[3] = ++Calls<int>::counted;
}

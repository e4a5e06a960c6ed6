#include <cstdio>
#include <troupe/runtime/result.hpp>

namespace {
enum class Errc : int { empty = 1 };
std::string_view error_name(Errc) { return "empty"; }

troupe::Result<int> half(int value) {
  if (value % 2 != 0) return troupe::Error(Errc::empty, "an odd number has no half", "pass an even one");
  return value / 2;
}
}  // namespace

int main() {
  std::printf("%d\n%s\n", half(8).value(), render(half(7).error()).c_str());
  return 0;
}

#include "troupe/runtime/thrown.hpp"

#include <sys/resource.h>

#include <new>

namespace troupe::runtime {
namespace {

std::string no_memory() {
  std::string text = "there is no more memory";
  rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    text += " (this process has " + std::to_string(limit.rlim_cur >> 20U) + " MiB of addresses: ulimit -v)";
  return text;
}

}  // namespace

std::string text_of(const std::exception& thrown) noexcept {
  try {
    return dynamic_cast<const std::bad_alloc*>(&thrown) != nullptr ? no_memory() : thrown.what();
  } catch (...) {
    return "no more memory";  // short enough to need none
  }
}

std::string text_of(const std::exception_ptr& thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return text_of(error);
  } catch (...) {
    return "something that is no std::exception";
  }
}

}  // namespace troupe::runtime

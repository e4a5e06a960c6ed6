#include "collective/reduce.hpp"

#include <cstring>

#include "collective/numbers.hpp"
#include "collective/reduce_avx2.hpp"

namespace troupe::comm::collective {

void reduce_portable(const Reduction& reduction) noexcept {
  if (reduction.n_sources == 0) return;
  with_number(reduction.dtype, reduction.op,
              [&]<class Number, Op op>() { reduce_range<Number, op>(reduction, 0, reduction.count); });
}

void reduce(const Reduction& reduction) noexcept {
  if (reduction.n_sources == 0 || reduction.count == 0) return;
  if (have_avx2()) {
    reduce_avx2(reduction);
  } else {
    reduce_portable(reduction);
  }
}

void copy(void* target, const void* source, std::size_t bytes, bool streaming) noexcept {
  if (bytes == 0 || target == source) return;
  if (streaming && have_avx2()) {
    copy_avx2(target, source, bytes);
  } else {
    std::memcpy(target, source, bytes);
  }
}

}  // namespace troupe::comm::collective

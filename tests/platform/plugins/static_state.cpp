// A library with the two kinds of state that g++ by default shares even between RTLD_LOCAL copies.

inline int inline_counter = 0;

template <class T>
int& local_counter() {
  static int counter = 0;
  return counter;
}

extern "C" int troupe_test_count(void) { return ++inline_counter + 100 * ++local_counter<int>(); }

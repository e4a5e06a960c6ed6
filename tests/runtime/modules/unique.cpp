// An inline variable, which g++ makes one for the whole process.
inline int how_many = 1;
extern "C" int count() { return ++how_many; }

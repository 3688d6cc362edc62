import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;

/** Ends in the way its argument names. */
public class Crash {
    static class Lines extends RuntimeException {
        Lines(Throwable cause) {
            super("first line\nsecond line", cause);
        }
    }

    static class Resource implements AutoCloseable {
        public void close() {
            throw new IllegalStateException("while closing");
        }
    }

    static void inner() {
        throw new IllegalArgumentException("boom");
    }

    static void caused() {
        try {
            inner();
        } catch (IllegalArgumentException e) {
            throw new Lines(new RuntimeException("between", e));
        }
    }

    static int overflow(int n) {
        return overflow(n + 1) + 1;
    }

    public static void main(String[] args) throws Exception {
        System.err.println("ordinary line before: Exception in thread is only words here");
        switch (args[0]) {
            case "plain": inner(); break;
            case "caused": caused(); break;
            case "suppressed": {
                try (Resource r = new Resource()) {
                    inner();
                }
                break;
            }
            case "overflow": overflow(0); break;
            case "memory": {
                List<long[]> held = new ArrayList<>();
                while (true) {
                    held.add(new long[1 << 20]);
                }
            }
            case "thread": {
                Thread t = new Thread(Crash::inner, "worker \"one\"");
                t.start();
                t.join();
                System.err.println("ordinary line after");
                break;
            }
            case "segv": {
                Field f = Class.forName("sun.misc.Unsafe").getDeclaredField("theUnsafe");
                f.setAccessible(true);
                ((sun.misc.Unsafe) f.get(null)).putLong(8L, 1L);
                break;
            }
            default: System.exit(99);
        }
    }
}

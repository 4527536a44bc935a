import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicLong;

/** Threads that all live at once, and each read a file, write one and remove another. */
public class Threads {
	public static void main(String[] args) throws Exception {
		int n = Integer.parseInt(args[0]);
		Path out = Files.createDirectory(Path.of("out"));
		Path[] in;
		try (var list = Files.list(Path.of("in"))) {
			in = list.sorted().toArray(Path[]::new);
		}
		CyclicBarrier together = new CyclicBarrier(n);
		AtomicLong bytes = new AtomicLong();
		AtomicLong failures = new AtomicLong();
		Thread[] threads = new Thread[n];
		for (int i = 0; i < n; i++) {
			int me = i;
			threads[i] = new Thread(() -> {
				try {
					together.await();
					byte[] content = Files.readAllBytes(in[me]);
					bytes.addAndGet(content.length);
					Path temporary = out.resolve("t" + me);
					Files.write(temporary, content);
					Files.move(temporary, out.resolve("" + me));
					Files.exists(Path.of("gone" + me));
					together.await();
				} catch (Exception e) {
					failures.incrementAndGet();
				}
			});
		}
		for (Thread t : threads) {
			t.start();
		}
		for (Thread t : threads) {
			t.join();
		}
		System.out.println(in.length + " files, " + bytes + " bytes, " + failures + " failures");
		System.exit(failures.get() == 0 ? 0 : 1);
	}
}

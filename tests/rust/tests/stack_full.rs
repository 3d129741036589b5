//! A program that fills its `StackAllocator`, and goes on with what is left.

use filz::stack::StackAllocator;

#[global_allocator]
static ALLOCATOR: StackAllocator<{ 16 << 20 }> = StackAllocator::new();

#[test]
fn a_full_heap_is_an_error_and_smaller_blocks_still_fit() {
    const PIECE: usize = 300_000;
    let mut pieces = Vec::with_capacity(100);
    loop {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE).is_err() {
            break;
        }
        piece.resize(PIECE, pieces.len());
        pieces.push(piece);
    }
    assert!(pieces.len() > 4 && pieces.len() < 100);
    for (i, piece) in pieces.iter().enumerate() {
        assert!(piece.iter().all(|&number| number == i));
    }
    let texts: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    assert_eq!(texts.concat().len(), 190);
}

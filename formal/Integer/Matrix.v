(** Exact matrices: what their products and sums stand for. *)

From Coq Require Import Reals ZArith List Lra Lia Arith.
From Compact Require Import Spec.Model Real.Sums Real.Products Integer.Dyadic.
Import ListNotations.
Open Scope R_scope.

Lemma nth_map : forall (A B : Type) (f : A -> B) l i a b, (i < length l)%nat -> nth i (map f l) b = f (nth i l a).
Proof. intros. rewrite nth_indep with (d' := f a) by now rewrite map_length. apply map_nth. Qed.

Definition has_shape (A : matrix) (r c : nat) : Prop :=
  length (rows A) = r /\ Forall (fun row => length row = c) (rows A).

Definition stands_for (A : matrix) (r c : nat) (f : nat -> nat -> R) : Prop :=
  has_shape A r c /\ forall i j, (i < r)%nat -> (j < c)%nat -> f i j = number A i j.

Lemma stands_number : forall A r c, has_shape A r c -> stands_for A r c (number A).
Proof. intros A r c S. split; [exact S | reflexivity]. Qed.

Lemma stands_ext : forall A r c f g, stands_for A r c f ->
  (forall i j, (i < r)%nat -> (j < c)%nat -> g i j = f i j) -> stands_for A r c g.
Proof. intros A r c f g [S E] same. split; [exact S|]. intros. rewrite same by assumption. now apply E. Qed.

Lemma row_length : forall A r c i, has_shape A r c -> (i < r)%nat -> length (nth i (rows A) []) = c.
Proof.
  intros A r c i [L all] small. rewrite Forall_forall in all. apply all, nth_In. now rewrite L.
Qed.

(** ** Rows *)

Fixpoint zip (f : Z -> Z -> Z) (a b : list Z) : list Z :=
  match a, b with x :: a', y :: b' => f x y :: zip f a' b' | _, _ => [] end.

Lemma zip_length : forall f a b n, length a = n -> length b = n -> length (zip f a b) = n.
Proof.
  intros f a. induction a as [|x a IH]; intros [|y b] n A B; simpl in *; try lia.
  destruct n as [|n]; [lia|]. f_equal. apply IH; lia.
Qed.

Lemma zip_nth : forall f a b i, (i < length a)%nat -> (i < length b)%nat ->
  nth i (zip f a b) 0%Z = f (nth i a 0%Z) (nth i b 0%Z).
Proof.
  intros f a. induction a as [|x a IH]; intros [|y b] i A B; simpl in *; try lia.
  destruct i as [|i]; [reflexivity | apply IH; lia].
Qed.

Fixpoint dot (a b : list Z) : Z :=
  match a, b with x :: a', y :: b' => (x * y + dot a' b')%Z | _, _ => 0%Z end.

Lemma dot_sum : forall n a b, length a = n -> length b = n ->
  IZR (dot a b) = sum n (fun i => IZR (nth i a 0%Z) * IZR (nth i b 0%Z)).
Proof.
  induction n as [|n IH]; intros [|x a] [|y b] A B; simpl length in *; try discriminate; [reflexivity|].
  rewrite sum_first. cbn [dot nth]. rewrite plus_IZR, mult_IZR, (IH a b) by lia. reflexivity.
Qed.

(** The sum of the rows of [B], each times a number of [row]. *)
Fixpoint combination (c : nat) (row : list Z) (B : list (list Z)) : list Z :=
  match row, B with
  | x :: row', b :: B' => zip (fun y s => (x * y + s)%Z) b (combination c row' B')
  | _, _ => repeat 0%Z c
  end.

Lemma combination_length : forall c row B, Forall (fun b => length b = c) B -> length (combination c row B) = c.
Proof.
  intros c row. induction row as [|x row IH]; intros [|b B] all; simpl; try apply repeat_length.
  inversion all; subst. apply zip_length; auto.
Qed.

Lemma combination_sum : forall c n row B j, Forall (fun b => length b = c) B -> length row = n -> length B = n ->
  (j < c)%nat ->
  IZR (nth j (combination c row B) 0%Z) = sum n (fun i => IZR (nth i row 0%Z) * IZR (nth j (nth i B []) 0%Z)).
Proof.
  induction n as [|n IH]; intros [|x row] [|b B] j all R B' small; simpl length in *; try discriminate.
  - simpl. rewrite nth_repeat. reflexivity.
  - inversion all; subst. rewrite sum_first. cbn [combination].
    rewrite zip_nth by (rewrite ?combination_length; auto).
    rewrite plus_IZR, mult_IZR, IH by (auto; lia). reflexivity.
Qed.

(** ** Products and sums *)

Definition mul (A B : matrix) : matrix :=
  {| rows := map (fun row => combination (columns B) row (rows B)) (rows A); exponent := exponent A + exponent B |}.

(** [A B^T] *)
Definition mul_transposed (A B : matrix) : matrix :=
  {| rows := map (fun row => map (dot row) (rows B)) (rows A); exponent := exponent A + exponent B |}.

(** Finer by [by] bits. *)
Definition finer (by_ : Z) (row : list Z) : list Z := map (fun x => Z.shiftl x by_) row.

(** Every row of [A] plus the one row of [B]. *)
Definition add_row (A B : matrix) : matrix :=
  let e := Z.min (exponent A) (exponent B) in
  let b := finer (exponent B - e) (hd [] (rows B)) in
  {| rows := map (fun row => zip Z.add (finer (exponent A - e) row) b) (rows A); exponent := e |}.

Definition add (A B : matrix) : matrix :=
  let e := Z.min (exponent A) (exponent B) in
  {| rows := map (fun one : list Z * list Z => zip Z.add (finer (exponent A - e) (fst one)) (finer (exponent B - e) (snd one)))
       (combine (rows A) (rows B));
     exponent := e |}.

Definition last_row (A : matrix) : matrix := {| rows := [last (rows A) []]; exponent := exponent A |}.

Lemma columns_of : forall A r c, has_shape A r c -> (0 < r)%nat -> columns A = c.
Proof.
  intros A r c [L all] some. unfold columns. destruct (rows A) as [|row rest]; [simpl in L; lia|].
  inversion all. assumption.
Qed.

Lemma stands_mul : forall A B r n c f g, (0 < n)%nat -> stands_for A r n f -> stands_for B n c g ->
  stands_for (mul A B) r c (product_of n f g).
Proof.
  intros A B r n c f g some [SA FA] [SB FB]. unfold mul. rewrite (columns_of B n c SB some). split.
  - split; simpl; [rewrite map_length; apply SA|].
    rewrite Forall_map. apply Forall_forall. intros row _. apply combination_length, SB.
  - intros i j Hi Hj. unfold number, entry. simpl rows. simpl exponent.
    rewrite (nth_map _ _ _ _ _ [] []) by (destruct SA as [-> _]; exact Hi).
    rewrite (combination_sum c n); [|apply SB|now apply (row_length A r)|apply SB|exact Hj].
    rewrite pow2_add, <- sum_scale_r. apply sum_ext. intros l Hl.
    rewrite FA, FB by assumption. unfold number, entry. ring.
Qed.

Lemma stands_mul_transposed : forall A B r n c f g, stands_for A r n f -> stands_for B c n g ->
  stands_for (mul_transposed A B) r c (fun i j => sum n (fun l => f i l * g j l)).
Proof.
  intros A B r n c f g [SA FA] [SB FB]. split.
  - split; simpl; [rewrite map_length; apply SA|].
    rewrite Forall_map. apply Forall_forall. intros row _. rewrite map_length. apply SB.
  - intros i j Hi Hj. unfold number, entry. simpl rows. simpl exponent.
    rewrite (nth_map _ _ _ _ _ [] []) by (destruct SA as [-> _]; exact Hi).
    rewrite (nth_map _ _ _ _ _ [] 0%Z) by (destruct SB as [-> _]; exact Hj).
    rewrite (dot_sum n) by (now apply (row_length A r)) || (now apply (row_length B c)).
    rewrite pow2_add, <- sum_scale_r. apply sum_ext. intros l Hl.
    rewrite FA, FB by assumption. unfold number, entry. ring.
Qed.

Lemma finer_nth : forall by_ row i, (0 <= by_)%Z -> (i < length row)%nat ->
  IZR (nth i (finer by_ row) 0%Z) = IZR (nth i row 0%Z) * pow2 by_.
Proof. intros. unfold finer. rewrite (nth_map _ _ _ _ _ 0%Z) by assumption. now apply shiftl_real. Qed.

Lemma finer_length : forall by_ row, length (finer by_ row) = length row.
Proof. intros. apply map_length. Qed.

Lemma stands_add_row : forall A B r c f g, stands_for A r c f -> stands_for B 1 c g ->
  stands_for (add_row A B) r c (fun i j => f i j + g 0%nat j).
Proof.
  intros A B r c f g [SA FA] [SB FB]. unfold add_row.
  set (e := Z.min (exponent A) (exponent B)).
  assert (only : length (hd [] (rows B)) = c).
  { pose proof (columns_of B 1 c SB). unfold columns in H. apply H. lia. }
  split.
  - split; simpl; [rewrite map_length; apply SA|].
    rewrite Forall_map. apply Forall_forall. intros row I.
    apply zip_length; rewrite finer_length; [|exact only].
    destruct SA as [_ all]. rewrite Forall_forall in all. now apply all.
  - intros i j Hi Hj. unfold number, entry. simpl rows. simpl exponent.
    assert (Li : length (nth i (rows A) []) = c) by now apply (row_length A r).
    rewrite (nth_map _ _ _ _ _ [] []) by (destruct SA as [-> _]; exact Hi).
    rewrite zip_nth by (rewrite finer_length; lia).
    rewrite plus_IZR, !finer_nth by (lia || (unfold e; lia)).
    rewrite FA, FB by (assumption || lia). unfold number, entry.
    replace (nth 0 (rows B) []) with (hd [] (rows B)) by (destruct (rows B); reflexivity).
    replace (powerRZ 2 (exponent A)) with (pow2 (exponent A - e) * pow2 e) by (rewrite <- pow2_add; f_equal; lia).
    replace (powerRZ 2 (exponent B)) with (pow2 (exponent B - e) * pow2 e) by (rewrite <- pow2_add; f_equal; lia).
    ring.
Qed.

(** The same numbers in units of [2 ^ e], if these are not coarser. *)
Definition in_units_of (e : Z) (A : matrix) : matrix := {| rows := map (finer (exponent A - e)) (rows A); exponent := e |}.

Lemma stands_in_units_of : forall e A r c f, (e <= exponent A)%Z -> stands_for A r c f -> stands_for (in_units_of e A) r c f.
Proof.
  intros e A r c f small [S F]. split.
  - split; cbn [in_units_of rows]; [rewrite map_length; apply S|]. rewrite Forall_map. apply Forall_forall. intros row I.
    rewrite finer_length. destruct S as [_ all]. rewrite Forall_forall in all. now apply all.
  - intros i j I J. rewrite F by assumption. unfold number, entry. cbn [in_units_of rows exponent].
    rewrite (nth_map _ _ _ (rows A) i [] []) by (destruct S as [-> _]; exact I).
    rewrite finer_nth by (lia || (rewrite (row_length A r c); assumption)).
    rewrite Rmult_assoc, <- pow2_add. repeat f_equal. lia.
Qed.

Lemma nth_last : forall (A : Type) (l : list A) d, nth (length l - 1) l d = last l d.
Proof.
  intros A l d. induction l as [|x l IH]; [reflexivity|].
  destruct l as [|y l]; [reflexivity|].
  replace (length (x :: y :: l) - 1)%nat with (S (length (y :: l) - 1)) by (simpl; lia).
  change (nth (length (y :: l) - 1) (y :: l) d = last (y :: l) d). exact IH.
Qed.

Lemma stands_last_row : forall A r c f, (0 < r)%nat -> stands_for A r c f ->
  stands_for (last_row A) 1 c (fun _ j => f (r - 1)%nat j).
Proof.
  intros A r c f some [SA FA]. split.
  - split; [reflexivity|]. simpl. constructor; [|constructor].
    rewrite <- nth_last. destruct SA as [L all] eqn:E. rewrite L. apply (row_length A r); [now split | lia].
  - intros i j Hi Hj. rewrite FA by lia. unfold number, entry, last_row. simpl rows. simpl exponent.
    replace i with 0%nat by lia. simpl nth at 2. rewrite <- nth_last. destruct SA as [-> _]. reflexivity.
Qed.

(** ** Sums *)

Lemma stands_add : forall A B r c f g, stands_for A r c f -> stands_for B r c g -> stands_for (add A B) r c (fun i j => f i j + g i j)%R.
Proof.
  intros A B r c f g [SA FA] [SB FB]. unfold add. set (e := Z.min (exponent A) (exponent B)).
  assert (Lc : length (combine (rows A) (rows B)) = r) by (rewrite combine_length; destruct SA, SB; lia).
  assert (at_ : forall i, (i < r)%nat -> length (nth i (rows A) []) = c /\ length (nth i (rows B) []) = c)
    by (intros i I; split; now apply (row_length _ r c)).
  split.
  - split; cbn [rows]; [now rewrite map_length|]. rewrite Forall_map. apply Forall_forall. intros [a b] I.
    apply (In_nth _ _ ([], [])) in I. destruct I as (i & I & E). rewrite Lc in I.
    rewrite combine_nth in E by (destruct SA, SB; lia). destruct (at_ i I) as [La Lb].
    assert (a = nth i (rows A) []) by exact (eq_sym (f_equal fst E)). assert (b = nth i (rows B) []) by exact (eq_sym (f_equal snd E)). subst.
    cbn [fst snd]. apply zip_length; now rewrite finer_length.
  - intros i j I J. rewrite FA, FB by assumption. destruct (at_ i I) as [La Lb]. unfold number, entry. cbn [rows exponent].
    rewrite (nth_map _ _ _ (combine (rows A) (rows B)) i ([], []) []) by (rewrite Lc; exact I).
    rewrite combine_nth by (destruct SA, SB; lia). cbn [fst snd].
    rewrite zip_nth by (rewrite finer_length; lia). rewrite plus_IZR, !finer_nth by (lia || (unfold e; lia)).
    replace (powerRZ 2 (exponent A)) with (pow2 (exponent A - e) * pow2 e)%R by (rewrite <- pow2_add; f_equal; lia).
    replace (powerRZ 2 (exponent B)) with (pow2 (exponent B - e) * pow2 e)%R by (rewrite <- pow2_add; f_equal; lia). ring.
Qed.

(** ** Transposed, in one pass *)

Fixpoint put (row : list Z) (columns : list (list Z)) : list (list Z) :=
  match row, columns with x :: row', column :: columns' => (x :: column) :: put row' columns' | _, _ => [] end.

Definition transpose (A : matrix) : matrix := {| rows := fold_right put (repeat [] (columns A)) (rows A); exponent := exponent A |}.

Lemma put_nth : forall row columns j, length row = length columns -> (j < length row)%nat ->
  nth j (put row columns) [] = nth j row 0%Z :: nth j columns [].
Proof.
  induction row as [|x row IH]; intros [|column columns] j L J; simpl in *; try lia.
  destruct j as [|j]; [reflexivity | apply IH; lia].
Qed.

Lemma put_length : forall row columns, length row = length columns -> length (put row columns) = length row.
Proof. induction row as [|x row IH]; intros [|column columns] L; simpl in *; try lia. f_equal. apply IH. lia. Qed.

Lemma columns_of_rows : forall c all, Forall (fun row => length row = c) all ->
  length (fold_right put (repeat [] c) all) = c /\
  forall j, (j < c)%nat -> nth j (fold_right put (repeat [] c) all) [] = map (fun row => nth j row 0%Z) all.
Proof.
  intros c all. induction 1 as [|row all L _ [IHL IH]]; cbn [fold_right map].
  - split; [apply repeat_length|]. intros j _. apply nth_repeat.
  - split; [rewrite put_length; lia|]. intros j J. rewrite put_nth by lia. now rewrite IH.
Qed.

Lemma stands_transpose : forall A r c f, (0 < r)%nat -> stands_for A r c f -> stands_for (transpose A) c r (fun i j => f j i).
Proof.
  intros A r c f some [S F]. pose proof (columns_of A r c S some) as C. destruct (columns_of_rows c (rows A) (proj2 S)) as [L at_].
  split.
  - split; cbn [transpose rows]; rewrite C; [exact L|]. apply Forall_forall. intros column I.
    apply (In_nth _ _ []) in I. destruct I as (j & J & <-). rewrite L in J. rewrite at_ by exact J. rewrite map_length. apply S.
  - intros i j I J. rewrite F by assumption. unfold number, entry. cbn [transpose rows exponent]. rewrite C, at_ by exact I.
    rewrite (nth_map _ _ _ (rows A) j [] 0%Z) by (destruct S as [-> _]; exact J). reflexivity.
Qed.

(** ** Shapes, tested *)

Definition shape_test (A : matrix) (r c : nat) : bool :=
  Nat.eqb (length (rows A)) r && forallb (fun row => Nat.eqb (length row) c) (rows A).

Lemma shape_test_right : forall A r c, shape_test A r c = true -> has_shape A r c.
Proof.
  intros A r c T. unfold shape_test in T. apply andb_prop in T. destruct T as [L all].
  split; [now apply Nat.eqb_eq|]. rewrite forallb_forall in all. apply Forall_forall.
  intros row I. now apply Nat.eqb_eq, all.
Qed.

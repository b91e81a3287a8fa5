(** rules.md, count_cubic: how many sequences the accepted tokens make. *)

From Coq Require Import Reals ZArith List Lia Arith Bool FinFun.
From Compact Require Import Spec.Model Integer.Tables Integer.Matrix Count.Counting Facts.
Import ListNotations.
Open Scope Z_scope.

(** The tokens of a mask, below [m]. *)
Definition members (m : nat) (mask : Z) : list nat := filter (fun x => Z.testbit mask (Z.of_nat x)) (seq 0 m).

(** Binomial coefficients [C(len, 0), C(len, 1), ...]. *)
Fixpoint pascal (len : nat) : list Z :=
  match len with O => [1] | S l => let row := pascal l in zip Z.add (row ++ [0]) (0 :: row) end.

Definition count_of_pair (k m : nat) (masks : list Z) : Z :=
  let binomials := pascal (k - 1) in
  add_up (map (fun n => Z.of_nat (length (members m (nth (n - 1) masks 0))) ^ Z.of_nat n * nth n binomials 0)
    (seq 1 (length masks))).

(** The set of n from 1 to the number of masks. *)
Definition ns_of (masks : list Z) : Z := Z.ones (Z.of_nat (S (length masks))) - 1.

Definition fitting (v k : nat) (masks : list (list (list Z))) : bool :=
  Nat.eqb (length masks) v
  && forallb (fun m => Nat.eqb (length (nth m masks [])) (S m)
    && forallb (fun q => Nat.leb (length (nth q (nth m masks []) [])) (if Nat.eqb q m then k - 1 else k - 2)) (seq 0 (S m))) (seq 0 v).

Definition count_cubic (w : weights) (masks : list (list (list Z))) : outcome fact :=
  let (v, k) := (vocabulary w, positions w) in
  require (fitting v k masks) wrong_shape
  (Fine (Tally (flat_map (fun m => flat_map (fun q =>
    match nth q (nth m masks []) [] with
    | [] => []
    | those => [Entry (Z.of_nat m) (Z.shiftl 1 (Z.of_nat q)) (ns_of those) (count_of_pair k m those) 0]
    end) (seq 0 (S m))) (seq 0 v)))).

(** All ways to put n tokens of a list among copies of [m]. *)
Fixpoint fill (T : list nat) (m n len : nat) : list (list nat) :=
  match len with
  | O => match n with O => [[]] | S _ => [] end
  | S l => map (cons m) (fill T m n l) ++ match n with O => [] | S n' => flat_map (fun x => map (cons x) (fill T m n' l)) T end
  end.

Lemma pascal_length : forall len, length (pascal len) = S len.
Proof.
  induction len as [|l IH]; [reflexivity|]. cbn [pascal]. apply zip_length; [rewrite app_length, IH; simpl; lia | simpl; lia].
Qed.

Lemma flat_map_length_same : forall (A B : Type) (f : A -> list B) c l, (forall x, length (f x) = c) ->
  length (flat_map f l) = (length l * c)%nat.
Proof. intros A B f c l E. induction l as [|x l IH]; [reflexivity|]. cbn [flat_map length]. rewrite app_length, IH, E. lia. Qed.

Lemma fill_length : forall T m len n,
  Z.of_nat (length (fill T m n len)) = Z.of_nat (length T) ^ Z.of_nat n * nth n (pascal len) 0.
Proof.
  induction len as [|l IH]; intros n.
  - destruct n as [|n]; [reflexivity|]. cbn [fill pascal nth length]. destruct n; simpl nth; lia.
  - cbn [fill pascal]. rewrite app_length, map_length, Nat2Z.inj_add, IH. pose proof (pascal_length l) as P.
    destruct n as [|n].
    + cbn [length]. rewrite zip_nth by (rewrite ?app_length; simpl; lia).
      rewrite app_nth1 by lia. cbn [nth]. lia.
    + rewrite (flat_map_length_same _ _ _ (length (fill T m n l))) by (intros; apply map_length).
      rewrite Nat2Z.inj_mul, IH, Nat2Z.inj_succ, Z.pow_succ_r by lia.
      destruct (Nat.lt_ge_cases (S n) (S (S l))) as [small|large].
      * rewrite zip_nth by (rewrite ?app_length; simpl length; lia). cbn [nth].
        replace (nth (S n) (pascal l ++ [0]) 0) with (nth (S n) (pascal l) 0); [ring|].
        destruct (Nat.lt_ge_cases (S n) (length (pascal l))) as [i|o]; [now rewrite app_nth1|].
        rewrite app_nth2 by assumption. rewrite nth_overflow by assumption.
        destruct (S n - length (pascal l))%nat as [|[|]]; reflexivity.
      * rewrite !nth_overflow; [ring | rewrite (zip_length _ _ _ (S (S l))); rewrite ?app_length; simpl length; lia | lia | lia].
Qed.

Definition odd_ones (m : nat) (ts : list nat) : nat := length (filter (fun x => negb (Nat.eqb x m)) ts).

Lemma fill_members : forall T m, ~ In m T -> forall len n ts, In ts (fill T m n len) ->
  length ts = len /\ odd_ones m ts = n /\ (forall x, In x ts -> x = m \/ In x T) .
Proof.
  intros T m fresh. induction len as [|l IH]; intros n ts I; cbn [fill] in I.
  - destruct n; [destruct I as [<-|[]] | destruct I]. repeat split. intros x [].
  - apply in_app_iff in I. destruct I as [I|I].
    + apply in_map_iff in I. destruct I as (rest & <- & I). destruct (IH n rest I) as (L & O & all).
      unfold odd_ones in *. cbn [length filter]. rewrite Nat.eqb_refl. cbn [negb]. repeat split; [lia | assumption|].
      intros x [<-|J]; auto.
    + destruct n as [|n]; [destruct I|]. apply in_flat_map in I. destruct I as (y & Y & I).
      apply in_map_iff in I. destruct I as (rest & <- & I). destruct (IH n rest I) as (L & O & all).
      assert (E : Nat.eqb y m = false) by (apply Nat.eqb_neq; intros ->; contradiction).
      unfold odd_ones in *. cbn [length filter]. rewrite E. cbn [negb length]. repeat split; [lia | lia|].
      intros x [<-|J]; auto.
Qed.

Lemma NoDup_flat_map : forall (A B : Type) (f : A -> list B) l, NoDup l -> (forall x, In x l -> NoDup (f x)) ->
  (forall x y b, In x l -> In y l -> In b (f x) -> In b (f y) -> x = y) -> NoDup (flat_map f l).
Proof.
  intros A B f l. induction l as [|x l IH]; intros U V apart; cbn [flat_map]; [constructor|]. inversion U; subst.
  apply NoDup_app_disjoint.
  - apply V. now left.
  - apply IH; [assumption | intros; apply V; now right|].
    intros y z b Y Z. apply apart; now right.
  - intros b I J. apply in_flat_map in J. destruct J as (y & Y & J).
    assert (x = y) by (apply (apart x y b); [now left | now right | assumption | assumption]). subst. contradiction.
Qed.

Lemma fill_NoDup : forall T m, NoDup T -> ~ In m T -> forall len n, NoDup (fill T m n len).
Proof.
  intros T m U fresh. induction len as [|l IH]; intros n; cbn [fill].
  - destruct n; [constructor; [easy | constructor] | constructor].
  - apply NoDup_app_disjoint.
    + apply Injective_map_NoDup; [intros x y; congruence | apply IH].
    + destruct n as [|n]; [constructor|]. apply NoDup_flat_map; [assumption | |].
      * intros x _. apply Injective_map_NoDup; [intros y z; congruence | apply IH].
      * intros x y b _ _ I J. apply in_map_iff in I, J. destruct I as (? & <- & _), J as (? & E & _). congruence.
    + intros ts I J. apply in_map_iff in I. destruct I as (rest & <- & _).
      destruct n as [|n]; [destruct J|]. apply in_flat_map in J. destruct J as (y & Y & J).
      apply in_map_iff in J. destruct J as (? & E & _). inversion E; subst. contradiction.
Qed.

Lemma members_spec : forall m mask x, In x (members m mask) <-> (x < m)%nat /\ Z.testbit mask (Z.of_nat x) = true.
Proof. intros. unfold members. rewrite filter_In, in_seq. split; intros [A B]; split; auto; lia. Qed.

(** What a filled list is a sequence of, with the query behind it. *)
Lemma filled_sequence : forall w m q n T ts, let M := model_of w in let t := ts ++ [q] in
  well_formed w = true -> (m < d_vocab M)%nat -> (q <= m)%nat -> (forall x, In x T -> (x < m)%nat) ->
  (n <= if Nat.eqb q m then n_ctx M - 1 else n_ctx M - 2)%nat -> (n = 0 -> q <> m -> 1 < n_ctx M)%nat -> In ts (fill T m n (n_ctx M - 1)) ->
  is_sequence M t /\ label t = m /\ query M t = q /\ firstn (n_ctx M - 1) t = ts /\ others M t = n /\
  forall x, In x ts -> x = m \/ In x T.
Proof.
  intros w m q n T ts M t good M_small q_le_m small_T fits some J.
  destruct (sizes w good) as (_ & _ & _ & K). fold M in K. set (k := n_ctx M) in *.
  destruct (fill_members T m ltac:(intros I; specialize (small_T m I); lia) _ _ _ J) as (L & O & all).
  assert (small : Forall (fun x => (x <= m)%nat) t).
  { unfold t. apply Forall_app. split; [|constructor; [lia | constructor]]. apply Forall_forall. intros x X.
    destruct (all x X) as [->|Y]; [lia|]. specialize (small_T x Y). lia. }
  assert (holding : In m t).
  { unfold t. apply in_app_iff. destruct (Nat.eqb q m) eqn:same; [right; left; now apply Nat.eqb_eq|]. left.
    destruct (in_dec Nat.eq_dec m ts) as [yes|no]; [assumption|exfalso].
    assert (G : forall l, ~ In m l -> odd_ones m l = length l).
    { unfold odd_ones. induction l as [|x l IH]; intros F; [reflexivity|]. cbn [filter].
      assert (X : Nat.eqb x m = false) by (apply Nat.eqb_neq; intros ->; apply F; now left).
      rewrite X. cbn [negb length]. rewrite IH; [reflexivity|]. intros Y. apply F. now right. }
    rewrite (G ts no) in O. apply Nat.eqb_neq in same. lia. }
  assert (lab : label t = m).
  { unfold label. apply Nat.le_antisymm; [now apply list_max_le|].
    assert (G : Forall (fun x => (x <= list_max t)%nat) t) by now apply list_max_le.
    rewrite Forall_forall in G. now apply G. }
  assert (pre : firstn (k - 1) t = ts).
  { unfold t. rewrite firstn_app, L, Nat.sub_diag, firstn_all2 by lia. now rewrite firstn_O, app_nil_r. }
  split; [|split; [exact lab|split; [|split; [exact pre|split; [|exact all]]]]].
  - split; [unfold t; rewrite app_length, L; fold k; cbn [length]; lia|]. revert small. apply Forall_impl. intros x X. lia.
  - unfold query, t. fold k. rewrite app_nth2, L, Nat.sub_diag by lia. reflexivity.
  - unfold others. fold k. rewrite pre, lab. exact O.
Qed.

Theorem count_cubic_sound : forall w margin masks f,
  well_formed w = true -> holds (model_of w) margin (Cubic_tokens masks) ->
  count_cubic w masks = Fine f -> holds (model_of w) margin f.
Proof.
  intros w margin masks f good H E. unfold count_cubic in E.
  apply require_fine in E. destruct E as [fits E]. apply fine_eq in E. subst f. cbn [holds] in *.
  destruct (sizes w good) as (_ & _ & _ & K). change (n_ctx (model_of w)) with (positions w) in K.
  set (k := positions w) in *.
  apply Forall_forall. intros e I. apply in_flat_map in I. destruct I as (m & M & I). apply in_flat_map in I.
  destruct I as (q & Q & I). pose proof M as M'. pose proof Q as Q'. apply in_seq in M', Q'.
  unfold fitting in fits. apply andb_prop in fits. destruct fits as [_ fits]. rewrite forallb_forall in fits.
  specialize (fits m M). apply andb_prop in fits. destruct fits as [_ fits]. rewrite forallb_forall in fits.
  specialize (fits q Q). apply Nat.leb_le in fits.
  set (those := nth q (nth m masks []) []) in *.
  assert (some : e = Entry (Z.of_nat m) (Z.shiftl 1 (Z.of_nat q)) (ns_of those) (count_of_pair k m those) 0).
  { destruct those; [destruct I|]. destruct I as [<-|[]]. reflexivity. }
  subst e. split; [|apply at_least_0; reflexivity]. cbn [right].
  set (T := fun n => members m (nth (n - 1) those 0)).
  assert (fresh : forall n, ~ In m (T n)) by (intros n J; apply members_spec in J; lia).
  exists (map (fun ts => ts ++ [q]) (flat_map (fun n => fill (T n) m n (k - 1)) (seq 1 (length those)))).
  split; [|split].
  - apply Injective_map_NoDup; [intros x y X; now apply app_inj_tail in X|].
    apply NoDup_flat_map; [apply seq_NoDup | |].
    + intros n _. apply fill_NoDup; [|apply fresh]. apply NoDup_filter, seq_NoDup.
    + intros n n' ts _ _ A B. apply fill_members in A, B; try apply fresh. destruct A as (_ & <- & _), B as (_ & <- & _). reflexivity.
  - rewrite Forall_map. apply Forall_forall. intros ts J. apply in_flat_map in J. destruct J as (n & N & J). apply in_seq in N.
    set (t := ts ++ [q]).
    destruct (filled_sequence w m q n (T n) ts good ltac:(change (d_vocab (model_of w)) with (vocabulary w); lia) ltac:(lia)
      ltac:(intros x X; apply members_spec in X; lia) ltac:(change (n_ctx (model_of w)) with k; destruct (Nat.eqb q m); lia) ltac:(lia) J)
      as (is_t & lab & que & pre & oth & all). fold t in is_t, lab, que, pre, oth.
    split.
    + apply H.
      * exact is_t.
      * split; [rewrite oth; lia|]. intros x X other. rewrite lab, que, oth. rewrite pre in X. rewrite lab in other.
        destruct (all x X) as [->|Y]; [contradiction|]. apply members_spec in Y. exact (proj2 Y).
    + unfold in_region. cbn [of_label queries ns]. rewrite lab, que, oth. repeat split.
      * rewrite Z.shiftl_spec by lia. now rewrite Z.sub_diag.
      * unfold ns_of. replace (Z.ones (Z.of_nat (S (length those))) - 1) with (Z.shiftl (Z.ones (Z.of_nat (length those))) 1).
        -- rewrite Z.shiftl_spec by lia. apply Z.ones_spec_low. lia.
        -- rewrite Z.shiftl_mul_pow2 by lia. rewrite !Z.ones_equiv, Nat2Z.inj_succ, Z.pow_succ_r by lia. lia.
  - rewrite map_length. unfold count_of_pair. cbv zeta.
    assert (G : forall l, add_up (map (fun n => Z.of_nat (length (members m (nth (n - 1) those 0))) ^ Z.of_nat n * nth n (pascal (k - 1)) 0) l)
      = Z.of_nat (length (flat_map (fun n => fill (T n) m n (k - 1)) l))).
    { induction l as [|n l IH]; [reflexivity|]. cbn [map add_up flat_map]. rewrite app_length, Nat2Z.inj_add, fill_length, IH. reflexivity. }
    rewrite G. lia.
Qed.
